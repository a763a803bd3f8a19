-- A document per cart, in the order of its lines; moved_to is the account whose cart took a guest's.
CREATE TABLE postgres_cart.carts (
  id text COLLATE "C" PRIMARY KEY,
  lines jsonb NOT NULL DEFAULT '[]',
  moved_to text COLLATE "C",
  changed_at timestamptz NOT NULL);
CREATE INDEX carts_changed_at ON postgres_cart.carts (changed_at);

-- Orders whose units have left their cart; taken is which, until they are put back.
CREATE TABLE postgres_cart.orders (
  id text COLLATE "C" PRIMARY KEY,
  taken jsonb NOT NULL DEFAULT '[]',
  changed_at timestamptz NOT NULL);
CREATE INDEX orders_changed_at ON postgres_cart.orders (changed_at);
