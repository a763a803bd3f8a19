"""Carts in PostgreSQL."""
