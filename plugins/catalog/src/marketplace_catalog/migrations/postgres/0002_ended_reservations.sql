-- When it was committed or given back; of one that expired, or was given back before it was made, that is expires_at.
ALTER TABLE catalog.reservations ADD COLUMN ended_at timestamptz;
CREATE INDEX reservations_given_back ON catalog.reservations (coalesce(ended_at, expires_at))
  WHERE status IN ('released', 'expired');
CREATE INDEX reservations_committed ON catalog.reservations (coalesce(ended_at, expires_at)) WHERE status = 'committed';
