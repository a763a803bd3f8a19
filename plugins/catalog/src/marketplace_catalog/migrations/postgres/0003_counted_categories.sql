-- Names of one parent are told apart without case and blanks. What stands here from before may lack its key: it is found by name.
ALTER TABLE catalog.categories ADD COLUMN name_key text;
CREATE UNIQUE INDEX categories_name_key ON catalog.categories (parent_id, name_key) NULLS NOT DISTINCT
  WHERE name_key IS NOT NULL;
-- A root had one of nothing.
UPDATE catalog.categories SET ancestors = array_remove(ancestors, NULL) WHERE array_position(ancestors, NULL) IS NOT NULL;
ALTER TABLE catalog.categories ADD CONSTRAINT categories_depth CHECK (cardinality(ancestors) < 30) NOT VALID;

CREATE INDEX categories_ancestors ON catalog.categories USING gin (ancestors);

-- Each sort of a category's list is read from an index.
CREATE INDEX products_category_price ON catalog.products (category_id, price, id) WHERE status = 'published';
CREATE INDEX products_category_rating ON catalog.products (category_id, coalesce(rating_average, 0), id)
  WHERE status = 'published';

-- Published products by category and seller, so that nobody counts them to show a tree. By seller, so that two sellers never
-- wait for each other, and one who is suspended is left out as he is.
CREATE TABLE catalog.category_counts (
  category_id text COLLATE "C" NOT NULL REFERENCES catalog.categories ON DELETE CASCADE,
  seller_id text COLLATE "C" NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (category_id, seller_id))
  WITH (fillfactor = 70);

CREATE FUNCTION catalog.count_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO catalog.category_counts AS c (category_id, seller_id, count)
    SELECT category_id, seller_id, count(*) FROM new_rows
    WHERE status = 'published' AND category_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (category_id, seller_id) DO UPDATE SET count = c.count + excluded.count;
  ELSIF TG_OP = 'DELETE' THEN
    UPDATE catalog.category_counts c SET count = c.count - gone.count
    FROM (SELECT category_id, seller_id, count(*) AS count FROM old_rows
          WHERE status = 'published' AND category_id IS NOT NULL GROUP BY 1, 2) gone
    WHERE c.category_id = gone.category_id AND c.seller_id = gone.seller_id;
  ELSIF EXISTS (
    SELECT FROM old_rows o JOIN new_rows n USING (id)
    WHERE (o.status = 'published') <> (n.status = 'published') OR o.category_id IS DISTINCT FROM n.category_id
      OR o.seller_id <> n.seller_id) THEN
    INSERT INTO catalog.category_counts AS c (category_id, seller_id, count)
    SELECT category_id, seller_id, sum(by) FROM (
      SELECT category_id, seller_id, 1 AS by FROM new_rows WHERE status = 'published'
      UNION ALL SELECT category_id, seller_id, -1 FROM old_rows WHERE status = 'published') moved
    WHERE category_id IS NOT NULL GROUP BY 1, 2 HAVING sum(by) <> 0 ORDER BY 1, 2
    ON CONFLICT (category_id, seller_id) DO UPDATE SET count = c.count + excluded.count;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER products_counted_in AFTER INSERT ON catalog.products
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION catalog.count_products();
CREATE TRIGGER products_counted_out AFTER DELETE ON catalog.products
  REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION catalog.count_products();
CREATE TRIGGER products_recounted AFTER UPDATE ON catalog.products
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION catalog.count_products();

INSERT INTO catalog.category_counts (category_id, seller_id, count)
SELECT category_id, seller_id, count(*) FROM catalog.products
WHERE status = 'published' AND category_id IS NOT NULL GROUP BY 1, 2;
