"""The embedded MongoDB of a deployment: one server, and a database for each resource."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.mongo.native import EmbeddedMongo
from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.ports.servers import Native

__all__ = ["NativeMongo"]


class NativeMongo(Native):
    def url(self, resource: str) -> str:
        return EmbeddedMongo(self.data).url(resource)

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        return [("mongo", EmbeddedMongo(self.data))]
