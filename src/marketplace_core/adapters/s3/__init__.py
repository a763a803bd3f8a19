"""S3, of AWS and of whoever speaks it, for blobs."""
