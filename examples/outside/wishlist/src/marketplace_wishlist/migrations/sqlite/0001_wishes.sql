-- Times are microseconds since 1970.
CREATE TABLE wishlist_wishes (
  account_id text NOT NULL,
  product_id text NOT NULL,
  title text NOT NULL,
  added_at int NOT NULL,
  PRIMARY KEY (account_id, product_id)) WITHOUT ROWID;
CREATE INDEX wishlist_wishes_product ON wishlist_wishes (product_id);
