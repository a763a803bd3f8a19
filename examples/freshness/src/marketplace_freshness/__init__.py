"""Raises what is new in a search."""
