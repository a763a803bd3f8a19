"""The servers of a deployment as one process uses them: opened when first asked for, closed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from redis.asyncio import Redis

from marketplace_core import metrics
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.adapters.redis.server import connect
from marketplace_core.deployment import Deployment

__all__ = ["Resources", "pool_sizes"]


POOL_SIZE = 8


def pool_sizes(deployment: Deployment) -> dict[str, int]:
    """How many connections a process keeps to each database for which the file says it: ``pool``."""
    return {
        name: int(resource.settings["pool"]) for name, resource in deployment.resources.items() if "pool" in resource.settings
    }


class Resources:
    """``url`` gives the address of a resource by its name in the deployment; ``pools`` the connections to some."""

    def __init__(self, url: Callable[[str], str], pools: Mapping[str, int] | None = None) -> None:
        self._url = url
        self._pools = pools or {}
        self._databases: dict[str, Database] = {}
        self._redis: dict[str, Redis] = {}
        metrics.POOLS.add(self)

    def url(self, name: str) -> str:
        return self._url(name)

    def database(self, name: str) -> Database:
        if name not in self._databases:
            self._databases[name] = Database(self._url(name), size=self._pools.get(name, POOL_SIZE), name=name)
        return self._databases[name]

    def redis(self, name: str) -> Redis:
        if name not in self._redis:
            self._redis[name] = connect(self._url(name))
        return self._redis[name]

    def pools(self) -> list[metrics.PoolState]:
        """Of its Redis servers; databases tell of theirs themselves."""
        return [_redis_pool(name, client.connection_pool) for name, client in self._redis.items()]

    @property
    def databases(self) -> dict[str, Database]:
        """Those in use, by name."""
        return dict(self._databases)

    async def close(self) -> None:
        """Databases first: a transaction that outlives its caller is waited for, and what it does may need a Redis."""
        for database in list(self._databases.values()):
            await database.close()
        for client in list(self._redis.values()):
            with contextlib.suppress(Exception):
                await client.aclose()

    async def ready(self) -> dict[str, str]:
        """``ok`` or a cause, by the name of each resource in use."""
        states: dict[str, str] = {}
        # Copies: while one is waited for, another part of the process may open more.
        for name, database in list(self._databases.items()):
            states[name] = await _state(partial(database.value, "SELECT 1"))
        for name, client in list(self._redis.items()):
            states[name] = await _state(client.ping)
        return states


def _redis_pool(name: str, pool: Any) -> metrics.PoolState:
    used = len(pool._in_use_connections)  # no public name, and no client tells it
    return metrics.PoolState("redis", name, pool.max_connections, used + len(pool._available_connections), used)


async def _state(ask: Callable[[], Any]) -> str:
    try:
        async with asyncio.timeout(2.0):
            await ask()
    except TimeoutError:
        return "it does not answer within 2 s"
    except Exception as error:
        return type(error).__name__
    return "ok"
