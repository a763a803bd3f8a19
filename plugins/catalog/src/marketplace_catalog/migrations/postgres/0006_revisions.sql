-- What moderation judges is a revision of a product: it counts the changes of what is shown of it.
ALTER TABLE catalog.products ADD COLUMN revision int NOT NULL DEFAULT 1;
