"""What counts before anything is written down: the last actions of a person, and lists whose pages somebody is reading.

On the Redis of caches: when it forgets, last actions are those that were written, and a list begins anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
from redis.asyncio import Redis

from marketplace_core.adapters.redis.server import redis_errors
from marketplace_recommendations.domain import Pick

__all__ = ["Recents"]

ACTION_SECONDS = 30 * 86400
LIST_SECONDS = 900


class Recents:
    def __init__(self, redis: Redis, *, actions: int) -> None:
        """``actions``: how many of a person are kept."""
        self._redis = redis
        self._actions = actions

    async def note(self, person: str, product_ids: Sequence[str]) -> None:
        """``product_ids`` in the order in which they were acted on."""
        key = _person(person)
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.lpush(key, *product_ids)
                pipe.ltrim(key, 0, self._actions - 1)
                pipe.expire(key, ACTION_SECONDS)
                await pipe.execute()

    async def last(self, person: str) -> list[str]:
        """The last action first."""
        with redis_errors():
            found: list[bytes] = await self._redis.lrange(_person(person), 0, -1)  # type: ignore[misc]
        return [id_.decode() for id_ in found]

    async def forget(self, person: str) -> None:
        with redis_errors():
            await self._redis.delete(_person(person))

    async def keep_list(self, picks: Sequence[Pick]) -> str:
        """The name by which :meth:`read_list` finds it."""
        name = os.urandom(9).hex()
        with redis_errors():
            await self._redis.set(f"recommendations:list:{name}", msgspec.msgpack.encode(picks), ex=LIST_SECONDS)
        return name

    async def read_list(self, name: str) -> list[Pick] | None:
        """None: it is not kept any more, or never was."""
        with redis_errors():
            found = await self._redis.get(f"recommendations:list:{name}")
        return None if found is None else msgspec.msgpack.decode(found, type=list[Pick])


def _person(person: str) -> str:
    return f"recommendations:recent:{person}"
