"""SQLite as a server of a marketplace: a file that keeps the truth of plugins."""
