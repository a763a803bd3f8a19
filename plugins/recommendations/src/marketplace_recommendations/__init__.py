"""The plugin recommendations: the base feed, what is like a product, and what is for a person."""
