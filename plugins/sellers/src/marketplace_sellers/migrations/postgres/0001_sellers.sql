CREATE TABLE sellers.shops (
  id text COLLATE "C" PRIMARY KEY,
  name text NOT NULL,
  name_key text COLLATE "C" NOT NULL CONSTRAINT shops_name UNIQUE,
  slug text COLLATE "C" NOT NULL CONSTRAINT shops_slug UNIQUE,
  description text NOT NULL DEFAULT '',
  status text NOT NULL CHECK (status IN ('active', 'suspended', 'holiday', 'closed')),
  reason text,
  country text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  -- The last version that the catalogue is known to have.
  told_version bigint NOT NULL DEFAULT 0,
  products_count bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL)
  WITH (fillfactor = 80);
CREATE INDEX shops_newest ON sellers.shops (created_at, id);

CREATE TABLE sellers.applications (
  id text COLLATE "C" PRIMARY KEY,
  account_id text COLLATE "C" NOT NULL,
  seller_id text COLLATE "C" REFERENCES sellers.shops,
  name text NOT NULL,
  legal_name text NOT NULL,
  country text NOT NULL,
  contact_email text NOT NULL,
  status text NOT NULL CHECK (status IN ('draft', 'submitted', 'active', 'rejected')),
  reason text,
  requirements jsonb NOT NULL,
  created_at timestamptz NOT NULL);
CREATE INDEX applications_account ON sellers.applications (account_id, created_at, id);
CREATE INDEX applications_newest ON sellers.applications (created_at, id);
CREATE UNIQUE INDEX applications_open ON sellers.applications (account_id) WHERE status IN ('draft', 'submitted');

-- The primary key says that an account is in at most one shop.
CREATE TABLE sellers.members (
  account_id text COLLATE "C" PRIMARY KEY,
  seller_id text COLLATE "C" NOT NULL REFERENCES sellers.shops,
  role text NOT NULL CHECK (role IN ('owner', 'manager', 'fulfilment', 'finance')));
CREATE INDEX members_seller ON sellers.members (seller_id);

-- NULL means all: all sellers, all categories.
CREATE TABLE sellers.commission_rates (
  seller_id text COLLATE "C" REFERENCES sellers.shops,
  category_id text COLLATE "C",
  rate numeric(5, 4) NOT NULL CHECK (rate BETWEEN 0 AND 1),
  valid_from timestamptz NOT NULL,
  UNIQUE NULLS NOT DISTINCT (seller_id, category_id, valid_from));

CREATE TABLE sellers.published_products (
  product_id text COLLATE "C" PRIMARY KEY,
  seller_id text COLLATE "C" NOT NULL);
