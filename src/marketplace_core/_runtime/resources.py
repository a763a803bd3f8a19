"""The servers of a deployment as one process uses them: opened when first asked for, closed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from redis.asyncio import Redis

from marketplace_core import metrics
from marketplace_core.deployment import Deployment
from marketplace_core.deployment._kinds import installed_kinds, settings_of
from marketplace_core.ports.servers import Opening, Server, ServerKind, imported

if TYPE_CHECKING:
    from marketplace_core.adapters.postgres.server import Database
    from marketplace_core.ports.engine import StepServer
    from marketplace_core.sagas import Performer

__all__ = ["Resources"]

T = TypeVar("T")


class Resources:
    """``url`` gives the address of a resource by its name in the deployment."""

    def __init__(self, deployment: Deployment, url: Callable[[str], str]) -> None:
        self._deployment = deployment
        self._url = url
        self._servers: dict[str, Server] = {}
        metrics.POOLS.add(self)

    def url(self, name: str) -> str:
        return self._url(name)

    def server(self, name: str) -> Server:
        if name not in self._servers:
            resource = self._deployment.resources[name]
            make = imported(installed_kinds().by_name[resource.kind].open)
            self._servers[name] = make(Opening(name, self._url(name), settings_of(resource), self._deployment.name))
        return self._servers[name]

    def connection(self, name: str) -> Any:
        """What stores on this resource work with."""
        return self.server(name).connection

    def database(self, name: str) -> Database:
        """:raises TypeError: it is no PostgreSQL."""
        from marketplace_core.adapters.postgres.server import Database  # noqa: PLC0415 - a driver, which others need not load

        return self._of(Database, name)

    def redis(self, name: str) -> Redis:
        """:raises TypeError: it is no Redis."""
        return self._of(Redis, name)

    def _of(self, kind: type[T], name: str) -> T:
        connection = self.connection(name)
        if not isinstance(connection, kind):
            raise TypeError(f"the resource {name!r} gives a {type(connection).__name__}, not a {kind.__name__}")
        return connection

    def play(self, role: str, *args: Any, **more: Any) -> Any:
        """What plays a role of the infrastructure, made by the kind of server that the deployment gives it."""
        name, kind = self._playing(role)
        return imported(kind.roles[role])(self.server(name), *args, **more)

    def serve_steps(self, capabilities: Collection[str], performer: Performer) -> StepServer | None:
        """None: whoever runs the sagas performs all of their steps."""
        name, kind = self._playing("sagas")
        made: StepServer | None = imported(kind.steps)(self.server(name), capabilities, performer) if kind.steps else None
        return made

    @property
    def serves_steps(self) -> bool:
        return self._playing("sagas")[1].steps is not None

    def _playing(self, role: str) -> tuple[str, ServerKind]:
        name = self._deployment.on[role]
        return name, installed_kinds().by_name[self._deployment.resources[name].kind]

    def pools(self) -> list[metrics.PoolState]:
        return [pool for server in self._servers.values() for pool in server.pools()]

    @property
    def opened(self) -> frozenset[str]:
        """The names of those in use."""
        return frozenset(self._servers)

    async def close(self) -> None:
        """What holds truth first: a transaction that outlives its caller is waited for, and what it does may need a cache."""
        kinds = installed_kinds().by_name
        truths = {name for name in self._servers if kinds[self._deployment.resources[name].kind].truth is not None}
        for name in sorted(self._servers, key=lambda name: name not in truths):
            with contextlib.suppress(Exception):  # the others are closed all the same
                await self._servers[name].close()

    async def ready(self) -> dict[str, str]:
        """``ok`` or a cause, by the name of each resource in use."""
        # A copy: while one is waited for, another part of the process may open more.
        return {name: await _state(server) for name, server in list(self._servers.items())}


async def _state(server: Server) -> str:
    try:
        async with asyncio.timeout(2.0):
            await server.ready()
    except TimeoutError:
        return "it does not answer within 2 s"
    except Exception as error:
        return type(error).__name__
    return "ok"
