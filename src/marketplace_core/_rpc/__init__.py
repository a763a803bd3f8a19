"""A port across processes: codec, client, server, and how a plugin reaches another's port."""
