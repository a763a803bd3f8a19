"""The sellers plugin."""
