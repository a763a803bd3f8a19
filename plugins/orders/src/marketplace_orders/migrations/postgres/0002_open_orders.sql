-- What is kept beside an order while it is open: of which cart it is, the how manieth of it, from where it was placed (a digest
-- under the deployment's key), and how many units it holds. NULL of imported orders, and of those of before.
ALTER TABLE orders.orders ADD COLUMN cart_id text COLLATE "C", ADD COLUMN cart_number bigint, ADD COLUMN placed_from text,
  ADD COLUMN units bigint;
-- One cart, one open order.
CREATE UNIQUE INDEX orders_open_cart ON orders.orders (cart_id) WHERE status = 'pending';
CREATE INDEX orders_open_account ON orders.orders (account_id) WHERE status = 'pending' AND units IS NOT NULL;
CREATE INDEX orders_open_from ON orders.orders (placed_from) WHERE status = 'pending' AND units IS NOT NULL;
CREATE INDEX orders_cart ON orders.orders (cart_id, cart_number) WHERE cart_id IS NOT NULL;
