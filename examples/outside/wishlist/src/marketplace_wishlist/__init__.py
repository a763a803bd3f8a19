"""Wishlists of buyers, on PostgreSQL or on SQLite."""
