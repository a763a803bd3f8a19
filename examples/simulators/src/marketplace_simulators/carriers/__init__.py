"""A carrier: rates, labels, shipments and what happens to them on the way."""
