"""A folder of this machine, for blobs."""
