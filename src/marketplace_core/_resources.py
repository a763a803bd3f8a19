"""The servers of a deployment as one process uses them: opened when first asked for, closed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from redis.asyncio import Redis

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.redis import connect

__all__ = ["Resources"]


class Resources:
    """``url`` gives the address of a resource by its name in the deployment."""

    def __init__(self, url: Callable[[str], str], *, pool_size: int = 8) -> None:
        self._url = url
        self._pool_size = pool_size
        self._databases: dict[str, Database] = {}
        self._redis: dict[str, Redis] = {}

    def url(self, name: str) -> str:
        return self._url(name)

    def database(self, name: str) -> Database:
        if name not in self._databases:
            self._databases[name] = Database(self._url(name), size=self._pool_size, name=name)
        return self._databases[name]

    def redis(self, name: str) -> Redis:
        if name not in self._redis:
            self._redis[name] = connect(self._url(name))
        return self._redis[name]

    @property
    def databases(self) -> dict[str, Database]:
        """Those in use, by name."""
        return dict(self._databases)

    async def close(self) -> None:
        """Databases first: a transaction that outlives its caller is waited for, and what it does may need a Redis."""
        for database in self._databases.values():
            await database.close()
        for client in self._redis.values():
            with contextlib.suppress(Exception):
                await client.aclose()

    async def ready(self) -> dict[str, str]:
        """``ok`` or a cause, by the name of each resource in use."""
        states: dict[str, str] = {}
        for name, database in self._databases.items():
            states[name] = await _state(partial(database.value, "SELECT 1"))
        for name, client in self._redis.items():
            states[name] = await _state(client.ping)
        return states


async def _state(ask: Callable[[], Any]) -> str:
    try:
        async with asyncio.timeout(2.0):
            await ask()
    except TimeoutError:
        return "it does not answer within 2 s"
    except Exception as error:
        return type(error).__name__
    return "ok"
