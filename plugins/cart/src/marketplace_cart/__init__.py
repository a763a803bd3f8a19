"""The cart plugin."""
