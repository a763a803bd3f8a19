-- The key whose units passed over to this reservation: it gets them back if this one is released.
ALTER TABLE catalog.reservations ADD COLUMN instead_of text;
-- When units of it last came, went, or were promised: beside its product's own time, whose row no sale has to lock.
ALTER TABLE catalog.variants ADD COLUMN moved_at timestamptz;
