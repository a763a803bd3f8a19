"""The embedded Temporal of a deployment: one server, whose namespace is ``default``."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.adapters.temporal.native import EmbeddedTemporal
from marketplace_core.ports.servers import Native

__all__ = ["NativeTemporal"]


class NativeTemporal(Native):
    def url(self, resource: str) -> str:
        return EmbeddedTemporal(self.data).url()

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        return [("temporal", EmbeddedTemporal(self.data))]
