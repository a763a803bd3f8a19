ALTER TABLE payments.webhooks ALTER COLUMN event DROP NOT NULL;
