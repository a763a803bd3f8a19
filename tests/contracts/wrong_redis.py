"""Units and outboxes on Redis with one mistake each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, ClassVar

from msgspec.structs import replace

from marketplace_core.adapters.redis.outbox import RedisOutbox, _RedisLanes
from marketplace_core.adapters.redis.server import alone
from marketplace_core.adapters.redis.units import RedisUnit, RedisUnits
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import Claim, Lanes, OutboxRow, UnitOfWork

# ── outboxes ─────────────────────────────────────────────────────────────────────────────────────────────────


class _With(RedisOutbox):
    kind: ClassVar[type[_RedisLanes]]

    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        async with alone(self._redis) as connection:
            lanes = self.kind(self._redis, connection, self._stream)
            await connection.client_setname(lanes.owner)
            await lanes.take()
            yield lanes
            await lanes.leave()


class _Owner(_RedisLanes):
    async def pending(self, limit: int) -> list[OutboxRow]:
        await self._redis.set(self._lease, self.owner)
        self._owned = True
        return await super().pending(limit)


class OwnsEveryLane(_With):
    kind = _Owner


class _Forgetful(_RedisLanes):
    async def leave(self) -> None:
        pass

    async def _lives(self, owner: str) -> bool:
        return True


class LeavesItsLease(_With):
    """Who left is waited for, until the lease has run out."""

    kind = _Forgetful


class _Careless(_RedisLanes):
    async def mark(self, ids: Sequence[int]) -> None:
        pass


class MarksNothing(_With):
    kind = _Careless


class _Hasty(_RedisLanes):
    async def pending(self, limit: int) -> list[OutboxRow]:
        rows = await super().pending(limit)
        await self.mark([row.id for row in rows])
        return rows


class MarksWhatItReads(_With):
    kind = _Hasty


class _Silent(_RedisLanes):
    async def pending(self, limit: int) -> list[OutboxRow]:
        return [replace(row, writer="") for row in await super().pending(limit)]


class HidesItsWriter(_With):
    kind = _Silent


class _Vain(_RedisLanes):
    async def pending(self, limit: int) -> list[OutboxRow]:
        return [replace(row, writer=self.owner) for row in await super().pending(limit)]


class IsItsOwnWriter(_With):
    """Each relay tells another one."""

    kind = _Vain


class _Deaf(_RedisLanes):
    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class TellsNobody(_With):
    kind = _Deaf


class TellsTwice(RedisUnits):
    async def _end(self, unit: RedisUnit, **guard: Any) -> bytes:
        unit.items += unit.items
        return await super()._end(unit, **guard)


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────────


class WritesAtOnce(RedisUnits):
    """What a unit adds is done before its end."""

    async def run(self, work: Callable[[UnitOfWork], Awaitable[Any]]) -> Any:
        unit = self._unit()
        try:
            return await work(unit)
        finally:
            await self._end(unit)


class ForgetsTheAnswer(RedisUnits):
    async def _end(self, unit: RedisUnit, **guard: Any) -> bytes:
        end = await super()._end(unit, **guard)
        for name in await self.redis.keys("plugin:answer:*"):
            await self.redis.delete(name)
        return end


class LocksNobodyOut(RedisUnits):
    async def once(self, claim: Claim, answer: Any, work: Callable[[UnitOfWork], Awaitable[Any]]) -> Any:
        await self.redis.delete(f"{self._claim_name(claim)}:lock")
        return await super().once(claim, answer, work)


class AppliesEverything(RedisUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        await self.run(work)
        return True


class SharesItsInbox(RedisUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        return await super().apply("everybody", envelope, work)


class SharesItsNames(RedisUnits):
    """All plugins are one."""

    def __init__(self, redis: Any, clock: Any, plugin: str, topics: frozenset[str] | None = None) -> None:
        super().__init__(redis, clock, "plugin", topics)


class IgnoresTheWriter(RedisUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        return await super().apply(handler, replace(envelope, writer=""), work)


class KnowsOnlyWriters(RedisUnits):
    """What has none is of a writer of its own."""

    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        return await super().apply(handler, replace(envelope, writer=envelope.writer or "none"), work)


class EmitsAnywhere(RedisUnits):
    def check_topic(self, event: Event) -> None:
        pass
