"""A Redis resource as one process uses it, and the roles that it plays there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.redis.feeds import RedisFeeds
from marketplace_core.adapters.redis.rates import RedisRates
from marketplace_core.adapters.redis.server import connect
from marketplace_core.metrics import PoolState
from marketplace_core.ports.servers import Opening, Server

__all__ = ["RedisServer", "bus", "clock", "connection", "feeds", "open_server", "rates"]


class RedisServer(Server):
    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self._client = connect(url)

    @property
    def connection(self) -> Redis:
        return self._client

    async def ready(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await self._client.aclose()

    def pools(self) -> Sequence[PoolState]:
        pool: Any = self._client.connection_pool
        used = len(pool._in_use_connections)  # no public name, and no client tells it
        return [PoolState("redis", self.name, pool.max_connections, used + len(pool._available_connections), used)]


def open_server(opening: Opening) -> RedisServer:
    return RedisServer(opening.name, opening.url)


def connection(server: Server) -> Any:
    """For a role that needs no more than the client."""
    return server.connection


def bus(server: Server, groups: Mapping[str, Sequence[str]]) -> RedisBus:
    return RedisBus(server.connection, groups=groups)


def clock(server: Server) -> RedisClock:
    return RedisClock(server.connection)


def feeds(server: Server, name: str) -> RedisFeeds:
    return RedisFeeds(server.connection, name)


def rates(server: Server) -> RedisRates:
    return RedisRates(server.connection)
