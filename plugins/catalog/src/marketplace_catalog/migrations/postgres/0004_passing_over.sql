-- The key whose units passed over to this reservation: it gets them back if this one is released.
ALTER TABLE catalog.reservations ADD COLUMN instead_of text;
