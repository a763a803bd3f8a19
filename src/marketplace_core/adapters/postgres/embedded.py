"""The embedded PostgreSQL of a deployment: one server, a database for each resource."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.adapters.postgres.kind import POOL_SIZE
from marketplace_core.adapters.postgres.native import EmbeddedPostgres
from marketplace_core.ports.servers import Native

__all__ = ["NativePostgres"]

#: Of the saga engine, of commands, and of an operator who looks.
_OTHERS = 40


class NativePostgres(Native):
    @cached_property
    def _server(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.data, settings={"max_connections": str(self.connections())})

    def database(self, resource: str) -> str:
        """Several resources share one server."""
        return str(self.deployment.resources[resource].settings.get("database") or resource)

    def url(self, resource: str) -> str:
        return self._server.owner_dsn(self.database(resource))

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        return [("postgres", self._server)]

    async def prepare(self, when: Literal["before", "after"]) -> None:
        """:raises EmbeddedError: it was refused."""
        if when == "after":
            for resource in self.resources:
                await self._server.create_database(self.database(resource))

    def connections(self) -> int:
        """How many the server must take: every pool of every process full, and each relay's listener.

        Which plugins have tables is not known here: a service uses no more databases than it has plugins.
        """
        databases = [self.deployment.resources[name] for name in self.resources]
        pool = max((int(resource.settings.get("pool", POOL_SIZE)) for resource in databases), default=POOL_SIZE)
        most = 0
        for service in self.deployment.services.values():
            used = min(len(databases), len(self.deployment.plugins_of(service.name)))
            most += service.replicas * used * (pool + len(service.workers) * (pool + 1))
        return max(100, most + _OTHERS)
