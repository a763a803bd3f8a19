CREATE TABLE catalog.sellers (
  id text COLLATE "C" PRIMARY KEY,
  name text NOT NULL,
  active boolean NOT NULL,
  version bigint NOT NULL DEFAULT 0);

CREATE TABLE catalog.categories (
  id text COLLATE "C" PRIMARY KEY,
  parent_id text COLLATE "C" REFERENCES catalog.categories,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  ancestors text[] NOT NULL,
  path text[] NOT NULL,
  UNIQUE NULLS NOT DISTINCT (parent_id, name));

CREATE TABLE catalog.products (
  id text COLLATE "C" PRIMARY KEY,
  seller_id text COLLATE "C" NOT NULL REFERENCES catalog.sellers,
  import_key text,
  slug text NOT NULL UNIQUE,
  title text NOT NULL,
  description text NOT NULL,
  category_id text COLLATE "C" REFERENCES catalog.categories,
  attributes jsonb NOT NULL,
  images jsonb NOT NULL DEFAULT '[]',
  status text NOT NULL,
  reason_code text,
  price bigint,
  compare_at bigint,
  currency text,
  rating_average double precision,
  rating_count int NOT NULL DEFAULT 0,
  digest text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (seller_id, import_key));
CREATE INDEX products_newest ON catalog.products (created_at, id) WHERE status = 'published';
CREATE INDEX products_price ON catalog.products (price, id) WHERE status = 'published';
CREATE INDEX products_rating ON catalog.products (coalesce(rating_average, 0), id) WHERE status = 'published';
CREATE INDEX products_category ON catalog.products (category_id, created_at, id) WHERE status = 'published';
CREATE INDEX products_seller ON catalog.products (seller_id, created_at, id);

CREATE TABLE catalog.slugs (
  slug text PRIMARY KEY,
  product_id text COLLATE "C" NOT NULL REFERENCES catalog.products ON DELETE CASCADE);

CREATE TABLE catalog.variants (
  id text COLLATE "C" PRIMARY KEY,
  product_id text COLLATE "C" NOT NULL REFERENCES catalog.products ON DELETE CASCADE,
  seller_id text COLLATE "C" NOT NULL,
  sku text NOT NULL,
  title text NOT NULL,
  options jsonb NOT NULL,
  options_key text NOT NULL GENERATED ALWAYS AS (md5(options::text)) STORED, -- options may be longer than an index takes
  position int NOT NULL,
  price bigint CHECK (price > 0),
  compare_at bigint,
  currency text,
  on_hand bigint NOT NULL CHECK (on_hand >= 0),
  reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  allocated bigint NOT NULL DEFAULT 0 CHECK (allocated >= 0),
  CONSTRAINT variants_stock CHECK (on_hand - reserved - allocated >= 0),
  CONSTRAINT variants_sku UNIQUE (seller_id, sku),
  CONSTRAINT variants_options UNIQUE (product_id, options_key) DEFERRABLE INITIALLY IMMEDIATE)
  WITH (fillfactor = 80);
CREATE INDEX variants_product ON catalog.variants (product_id, position);

CREATE TABLE catalog.reservations (
  key text PRIMARY KEY,
  status text NOT NULL CHECK (status IN ('held', 'expired', 'committed', 'released')),
  lines jsonb NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL);
CREATE INDEX reservations_due ON catalog.reservations (expires_at) WHERE status = 'held';
