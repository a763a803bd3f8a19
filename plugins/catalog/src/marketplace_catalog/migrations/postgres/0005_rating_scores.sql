-- What lists are sorted by: a mean in which few ratings weigh little, as it is told with them. Nothing unrated is before what is.
ALTER TABLE catalog.products ADD COLUMN rating_score double precision;
UPDATE catalog.products SET rating_score = rating_average WHERE rating_average IS NOT NULL;
CREATE INDEX products_score ON catalog.products (coalesce(rating_score, 0), id) WHERE status = 'published';
CREATE INDEX products_category_score ON catalog.products (category_id, coalesce(rating_score, 0), id)
  WHERE status = 'published';
DROP INDEX catalog.products_rating;
DROP INDEX catalog.products_category_rating;
