CREATE TABLE wishlist.wishes (
  account_id text COLLATE "C" NOT NULL,
  product_id text COLLATE "C" NOT NULL,
  title text NOT NULL,
  added_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, product_id));
CREATE INDEX ON wishlist.wishes (product_id);
