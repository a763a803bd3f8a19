-- Lines of orders whose buyers have accounts: what each may review once it has arrived.
CREATE TABLE reviews.lines (
  item_id text COLLATE "C" PRIMARY KEY,
  order_id text COLLATE "C" NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  product_id text COLLATE "C" NOT NULL,
  seller_id text COLLATE "C" NOT NULL,
  package_id text COLLATE "C",
  delivered_at timestamptz,
  review_id text COLLATE "C",
  number int NOT NULL DEFAULT 0)
  WITH (fillfactor = 80);
CREATE INDEX lines_package ON reviews.lines (package_id) WHERE package_id IS NOT NULL;

-- Accepted, and not carried out: a few at any time. The document is the review as it will be.
CREATE TABLE reviews.commands (
  review_id text COLLATE "C" NOT NULL,
  number int NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  act text NOT NULL CHECK (act IN ('write', 'edit', 'delete')),
  document jsonb NOT NULL,
  PRIMARY KEY (review_id, number));
CREATE INDEX commands_account ON reviews.commands (account_id);

-- A document each, with what is searched and sorted beside it.
CREATE TABLE reviews.reviews (
  id text COLLATE "C" PRIMARY KEY,
  product_id text COLLATE "C" NOT NULL,
  seller_id text COLLATE "C" NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  status text NOT NULL CHECK (status IN ('pending', 'published', 'rejected')),
  rating smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
  helpful int NOT NULL DEFAULT 0,
  replied boolean NOT NULL,
  created_at timestamptz NOT NULL,
  document jsonb NOT NULL);
CREATE INDEX reviews_account ON reviews.reviews (account_id, created_at, id);
CREATE INDEX reviews_seller ON reviews.reviews (seller_id, created_at, id) WHERE status = 'published';
CREATE INDEX reviews_newest ON reviews.reviews (product_id, created_at, id) WHERE status = 'published';
CREATE INDEX reviews_helpful ON reviews.reviews (product_id, helpful, id) WHERE status = 'published';
CREATE INDEX reviews_stars ON reviews.reviews (product_id, rating, id) WHERE status = 'published';
CREATE INDEX reviews_stars_newest ON reviews.reviews (product_id, rating, created_at, id) WHERE status = 'published';
CREATE INDEX reviews_stars_helpful ON reviews.reviews (product_id, rating, helpful, id) WHERE status = 'published';

CREATE TABLE reviews.votes (
  review_id text COLLATE "C" NOT NULL REFERENCES reviews.reviews ON DELETE CASCADE,
  account_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (review_id, account_id));

CREATE TABLE reviews.reports (
  review_id text COLLATE "C" NOT NULL REFERENCES reviews.reviews ON DELETE CASCADE,
  account_id text COLLATE "C" NOT NULL,
  reason text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (review_id, account_id));
