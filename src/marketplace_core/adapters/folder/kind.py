"""What a folder is to a deployment: it keeps blobs. Relative ones are beside the deployment's file."""

from __future__ import annotations

from marketplace_core.ports.servers import ServerKind

__all__ = ["FOLDER"]

FOLDER = ServerKind(
    name="folder",
    schemes=("folder", "file"),
    open="marketplace_core.adapters.folder.opening:open_server",
    roles={"blobs": "marketplace_core.adapters.folder.opening:blobs"},
    path=True,
    native="marketplace_core.adapters.folder.opening:NativeFolder",
)
