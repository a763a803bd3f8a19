-- The last that is ready is shown; one that is sent after it waits beside it.
CREATE TABLE sellers.logos (
  id text COLLATE "C" PRIMARY KEY,
  seller_id text COLLATE "C" NOT NULL REFERENCES sellers.shops,
  document jsonb NOT NULL);
CREATE INDEX logos_seller ON sellers.logos (seller_id, id);
-- Which of them refers to a blob: what none does is swept.
CREATE INDEX logos_keys ON sellers.logos USING gin (
  (jsonb_path_query_array(document, '$.key') || jsonb_path_query_array(document, '$.sizes.*.url')
  || jsonb_path_query_array(document, '$.source')));
