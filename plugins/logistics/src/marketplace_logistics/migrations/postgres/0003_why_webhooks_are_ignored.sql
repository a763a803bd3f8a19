ALTER TABLE logistics.webhooks ADD COLUMN note text;
