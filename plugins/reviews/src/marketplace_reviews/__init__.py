"""The reviews plugin: what buyers say, and the ratings of products and sellers."""
