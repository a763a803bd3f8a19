-- What the reviews of a shop's products come to, as it is told.
ALTER TABLE sellers.shops ADD COLUMN rating_average double precision, ADD COLUMN rating_count int NOT NULL DEFAULT 0;
