-- The time by which an event was told, where that was ahead of ours: then occurred_at is when we heard of it.
ALTER TABLE logistics.tracking_events ADD COLUMN told_at timestamptz;
