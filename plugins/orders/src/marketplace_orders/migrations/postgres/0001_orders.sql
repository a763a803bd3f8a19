CREATE TABLE orders.orders (
  id text COLLATE "C" PRIMARY KEY,
  account_id text COLLATE "C",
  email text NOT NULL,
  status text NOT NULL,
  number text UNIQUE,
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  complete_at timestamptz);
CREATE INDEX orders_account ON orders.orders (account_id, created_at, id);
CREATE INDEX orders_email ON orders.orders (lower(email), created_at, id);
CREATE INDEX orders_created ON orders.orders (created_at, id);
CREATE INDEX orders_complete ON orders.orders (complete_at) WHERE complete_at IS NOT NULL;

CREATE TABLE orders.packages (
  id text COLLATE "C" PRIMARY KEY,
  order_id text COLLATE "C" NOT NULL REFERENCES orders.orders,
  seller_id text COLLATE "C" NOT NULL,
  status text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL);
CREATE INDEX packages_order ON orders.packages (order_id);
CREATE INDEX packages_created ON orders.packages (seller_id, created_at, id);
CREATE INDEX packages_updated ON orders.packages (seller_id, updated_at, id);

CREATE TABLE orders.shipments (
  id text COLLATE "C" PRIMARY KEY,
  order_id text COLLATE "C" NOT NULL REFERENCES orders.orders,
  seller_id text COLLATE "C" NOT NULL);

CREATE TABLE orders.series (
  name text PRIMARY KEY,
  last bigint NOT NULL) WITH (fillfactor = 50);
