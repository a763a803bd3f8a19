-- Pictures of a review, carried out or on its way; they are in the order of their ids.
CREATE TABLE reviews.pictures (
  id text COLLATE "C" PRIMARY KEY,
  review_id text COLLATE "C" NOT NULL,
  document jsonb NOT NULL);
CREATE INDEX pictures_review ON reviews.pictures (review_id, id);
-- Which of them refers to a blob: what none does is swept.
CREATE INDEX pictures_keys ON reviews.pictures USING gin (
  (jsonb_path_query_array(document, '$.key') || jsonb_path_query_array(document, '$.sizes.*.url')
  || jsonb_path_query_array(document, '$.source')));
