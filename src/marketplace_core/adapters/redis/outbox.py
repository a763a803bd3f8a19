"""The outbox of a plugin whose truth is in Redis: one stream, which one relay at a time sends on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from marketplace_core.adapters.redis.server import alone, redis_errors
from marketplace_core.adapters.redis.units import _lua
from marketplace_core.ports import Lanes, Outbox, OutboxRow
from marketplace_core.values import new_id

__all__ = ["RedisOutbox"]

#: Who was stopped for longer than this is taken for dead; who is killed closes its connection, and need not be waited for.
LEASE_SECONDS = 10.0
RETAKE_SECONDS = 0.5
#: A blocking read ends before a server that says nothing counts as away.
BLOCK_SECONDS = 1.0


class RedisOutbox(Outbox):
    """The outbox that :class:`~marketplace_core.adapters.redis.units.RedisUnits` of the same name fills."""

    def __init__(self, redis: Redis, name: str) -> None:
        """``name``: the plugin's."""
        self._redis = redis
        self._stream = f"{name}:outbox"

    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        """It waits on a connection of its own, whose name tells other relays that this one lives."""
        with redis_errors():
            async with alone(self._redis) as connection:
                lanes = _RedisLanes(self._redis, connection, self._stream)
                await connection.client_setname(lanes.owner)
                await lanes.take()
                try:
                    yield lanes
                finally:
                    with contextlib.suppress(RedisError, OSError):
                        await lanes.leave()

    async def backlog(self) -> int:
        with redis_errors():
            count: int = await self._redis.xlen(self._stream)
        return count

    async def oldest(self) -> float:
        """For how many seconds the oldest row has waited to be sent; 0 where none does."""
        with redis_errors():
            rows = await self._redis.xrange(self._stream, count=1)
        return max(0.0, time.time() - float(rows[0][1][b"at"])) if rows else 0.0

    async def position(self) -> int:
        """The number of the last row that was written; 0 before the first."""
        with redis_errors():
            return int(await self._redis.get(f"{self._stream}:rows") or 0)

    async def purge(self) -> None:
        """What was sent is gone already; an answer goes by itself."""


class _RedisLanes(Lanes):
    """One lane: the whole stream, under a lease.

    Who lost the lease and does not know it yet may send again what its successor sent: repeats, never a gap.
    """

    def __init__(self, redis: Redis, connection: Redis, stream: str) -> None:
        self.owner = new_id()
        self._redis, self._connection, self._stream = redis, connection, stream
        self._lease = f"{stream}:lease"
        self._read = redis.register_script(_lua("pending"))
        self._give_up = redis.register_script(_lua("give_up"))
        self._held_by = (self._lease, self.owner, round(LEASE_SECONDS * 1000))
        self._owned = False
        self._last = "0-0"

    async def take(self) -> None:
        holder: bytes | None = await self._redis.get(self._lease)
        if holder is not None and holder.decode() != self.owner and not await self._lives(holder.decode()):
            await self._give_up(args=[self._lease, holder])
        taken = await self._redis.set(self._lease, self.owner, nx=True, px=round(LEASE_SECONDS * 1000))
        self._owned = bool(taken)

    async def _lives(self, owner: str) -> bool:
        return owner in {client["name"] for client in await self._redis.client_list()}

    async def leave(self) -> None:
        await self._give_up(args=[self._lease, self.owner])

    async def pending(self, limit: int) -> list[OutboxRow]:
        if not self._owned:
            return []
        entries = await self._read(args=[*self._held_by, self._stream, limit])
        if entries is None:
            self._owned = False
            return []
        if entries:
            self._last = entries[-1][0].decode()
        return [_row(id_, dict(zip(fields[::2], fields[1::2], strict=True))) for id_, fields in entries]

    async def mark(self, ids: Sequence[int]) -> None:
        if ids:
            await self._redis.xdel(self._stream, *(f"{id_}-0" for id_ in ids))

    async def wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            if not self._owned:
                await asyncio.sleep(min(left, RETAKE_SECONDS))
                await self.take()
                if self._owned:
                    return
                continue
            block = max(1, round(min(left, BLOCK_SECONDS) * 1000))
            if await self._connection.xread({self._stream: self._last}, count=1, block=block):
                return
            await self._hold()

    async def _hold(self) -> None:
        self._owned = await self._read(args=[*self._held_by, self._stream, 0]) is not None


def _row(id_: bytes, fields: dict[bytes, bytes]) -> OutboxRow:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return OutboxRow(
        id=int(id_.split(b"-")[0]),
        kind=text["kind"],
        topic=text["topic"],
        type=text["type"],
        key=text["key"],
        sequence=int(text["sequence"]) if text["sequence"] else None,
        event_id=text["id"],
        payload=text["payload"],
        trace=text["trace"],
        writer=text.get("writer", ""),  # a row of a release before writers has none
    )
