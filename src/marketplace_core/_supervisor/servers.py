"""The embedded servers of a deployment, kept like any other process."""

from __future__ import annotations

import signal
from pathlib import Path

from marketplace_core._supervisor.children import Child
from marketplace_core._supervisor.keeper import Runnable
from marketplace_core._supervisor.state import Kind, database_of, folder_of, role_of
from marketplace_core.adapters.postgres.native import EmbeddedPostgres
from marketplace_core.adapters.redis.native import EmbeddedRedis
from marketplace_core.deployment._model import Deployment

__all__ = ["Server", "connections", "create_databases", "make_folders", "servers_of"]

#: As ``marketplace_core._runtime.resources`` has it, which would bring the drivers into the supervisor.
POOL_SIZE = 8
#: Of the saga engine, of commands, and of an operator who looks.
_OTHERS = 40


class Server(Runnable):
    """An embedded server: it is ready when its start has returned."""

    kind: Kind = "server"

    def __init__(self, name: str, server: EmbeddedPostgres | EmbeddedRedis) -> None:
        self.name, self.server, self.log = name, server, server.log

    async def start(self) -> Child:
        await self.server.start()
        if self.server.child is None:
            raise RuntimeError(f"{self.name} has no process after its start")
        return self.server.child

    async def ready(self) -> bool:
        return True

    async def stop(self) -> None:
        await self.server.stop()

    def kill(self) -> None:
        """PostgreSQL ends its backends when it gets SIGQUIT, without waiting for anything; killed, it would leave them."""
        if self.server.child is not None:
            self.server.child.send(signal.SIGQUIT if isinstance(self.server, EmbeddedPostgres) else signal.SIGKILL)


def servers_of(deployment: Deployment, data: Path) -> list[Server]:
    """One PostgreSQL for all databases, one Redis for each role."""
    embedded = [resource for resource in deployment.resources.values() if resource.embedded]
    found = []
    if any(resource.kind == "postgres" for resource in embedded):
        found.append(Server("postgres", EmbeddedPostgres(data, settings={"max_connections": str(connections(deployment))})))
    roles = {role_of(deployment, resource.name) for resource in embedded if resource.kind == "redis"}
    return found + [Server(f"redis-{role}", EmbeddedRedis(data, role)) for role in sorted(roles, reverse=True)]


def connections(deployment: Deployment) -> int:
    """How many the embedded PostgreSQL must take: every pool of every process full, and each relay's listener.

    Which plugins have tables is not known here: a service uses no more databases than it has plugins.
    """
    databases = [r for r in deployment.resources.values() if r.embedded and r.kind == "postgres"]
    pool = max((int(resource.settings.get("pool", POOL_SIZE)) for resource in databases), default=POOL_SIZE)
    most = 0
    for service in deployment.services.values():
        used = min(len(databases), len(deployment.plugins_of(service.name)))
        most += service.replicas * used * (pool + len(service.workers) * (pool + 1))
    return max(100, most + _OTHERS)


async def create_databases(deployment: Deployment, data: Path) -> None:
    """:raises EmbeddedError: it was refused."""
    server = EmbeddedPostgres(data)
    for resource in deployment.resources.values():
        if resource.embedded and resource.kind == "postgres":
            await server.create_database(database_of(deployment, resource.name))


def make_folders(deployment: Deployment, data: Path) -> None:
    for resource in deployment.resources.values():
        if resource.embedded and resource.kind == "folder":
            folder_of(deployment, data, resource.name).mkdir(parents=True, exist_ok=True)
