-- Which product refers to a blob: what none does is swept.
CREATE INDEX products_pictures ON catalog.products USING gin (
  (jsonb_path_query_array(images, '$[*].key') || jsonb_path_query_array(images, '$[*].sizes.*.url')
  || jsonb_path_query_array(images, '$[*].source')));

-- Pictures that lines of orders show, for as long as there are orders.
CREATE TABLE catalog.ordered_pictures (key text COLLATE "C" PRIMARY KEY);
INSERT INTO catalog.ordered_pictures (key)
SELECT DISTINCT line->>'image' FROM catalog.reservations r, jsonb_array_elements(r.lines) AS line
WHERE line->>'image' IS NOT NULL;
