"""The orders plugin."""
