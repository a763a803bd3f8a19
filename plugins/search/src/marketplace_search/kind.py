"""What an index of tantivy is to a deployment: a folder of this machine."""

from __future__ import annotations

from marketplace_core.ports.servers import ServerKind

__all__ = ["TANTIVY"]

#: Many may read it, and who writes has the kernel's lock on it for as long: see :mod:`marketplace_search.stores.folder`.
TANTIVY = ServerKind(
    name="tantivy",
    schemes=("tantivy",),
    open="marketplace_core.adapters.folder.opening:open_server",
    path=True,
    native="marketplace_search.opening:NativeTantivy",
)
