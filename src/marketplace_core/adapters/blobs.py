"""The place of these in release 0.1.0."""

from marketplace_core.adapters.folder.blobs import FolderBlobs, check_key

__all__ = ["FolderBlobs", "check_key"]
