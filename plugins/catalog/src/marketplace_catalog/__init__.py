"""The catalog plugin."""
