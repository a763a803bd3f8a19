-- How each review counts that does: what a change of it takes from the tallies is what it had added.
CREATE TABLE reviews_ratings.counted (
  review_id text COLLATE "C" PRIMARY KEY,
  product_id text COLLATE "C" NOT NULL,
  seller_id text COLLATE "C" NOT NULL,
  rating smallint NOT NULL CHECK (rating BETWEEN 1 AND 5))
  WITH (fillfactor = 80);
CREATE INDEX counted_product ON reviews_ratings.counted (product_id);
CREATE INDEX counted_seller ON reviews_ratings.counted (seller_id);

CREATE TABLE reviews_ratings.tallies (
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('product', 'seller')),
  id text COLLATE "C" NOT NULL,
  stars_1 int NOT NULL CHECK (stars_1 >= 0),
  stars_2 int NOT NULL CHECK (stars_2 >= 0),
  stars_3 int NOT NULL CHECK (stars_3 >= 0),
  stars_4 int NOT NULL CHECK (stars_4 >= 0),
  stars_5 int NOT NULL CHECK (stars_5 >= 0),
  PRIMARY KEY (kind, id))
  WITH (fillfactor = 50);
