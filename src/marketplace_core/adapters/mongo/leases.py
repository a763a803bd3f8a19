"""Leases: what one process holds at a time, as long as it says so again and again. The server's clock tells when one ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import structlog
from pymongo import UpdateOne

from marketplace_core.adapters.mongo.errors import UniqueViolation
from marketplace_core.adapters.mongo.now import after, is_over, runs
from marketplace_core.adapters.mongo.schema import LEASES
from marketplace_core.adapters.mongo.server import Database
from marketplace_core.errors import Unavailable
from marketplace_core.values import new_id

__all__ = ["LEASE_SECONDS", "Leases", "lease"]

log = structlog.get_logger("marketplace.worker")

#: After how long what a killed process held is free.
LEASE_SECONDS = 10.0
RETRY_SECONDS = 0.5
_NEVER = datetime.fromtimestamp(0, UTC)


class Leases:
    """Some leases of one holder. ``held`` are those that it got; ``sure`` tells whether they cannot have ended yet."""

    def __init__(self, database: Database, seconds: float = LEASE_SECONDS) -> None:
        self._database, self._seconds = database, seconds
        self._owner = new_id()
        self._known: set[str] = set()
        self._until = 0.0
        self.held: set[str] = set()

    @property
    def sure(self) -> bool:
        return not self.held or time.monotonic() < self._until

    async def take(self, names: Sequence[str]) -> None:
        """Those of ``names`` that nobody has. :raises Unavailable: also where one that it held has ended."""
        await self._make(names)
        free = {"_id": {"$in": sorted(names)}, "$expr": is_over("until")}
        if not await self._database.update(LEASES, free, [self._mine()]):
            return
        await self.keep()
        mine = await self._database.find(LEASES, {"owner": self._owner, "_id": {"$in": sorted(names)}})
        self.held |= {row["_id"] for row in mine}

    async def keep(self) -> None:
        """All of them, for as long again. :raises Unavailable: also where one has ended."""
        began = time.monotonic()
        # One that has ended may be somebody's already, who has ended, too.
        running = {"owner": self._owner, "$expr": runs("until")}
        if await self._database.update(LEASES, running, [self._mine()]) < len(self.held):
            raise Unavailable("A lease has ended.")
        self._until = began + self._seconds

    async def keeping(self) -> None:
        """Until one is lost. :raises Unavailable:"""
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                await self.keep()
            except Unavailable:
                if not self.sure:
                    raise
                log.warning("lease.waiting", database=self._database.name)

    async def release(self) -> None:
        if self.held:
            self.held = set()
            change = {"$set": {"until": _NEVER}, "$unset": {"owner": ""}}
            await self._database.update(LEASES, {"owner": self._owner}, change)

    def _mine(self) -> dict[str, object]:
        return {"$set": {"owner": self._owner, "until": after(int(self._seconds * 1000))}}

    async def _make(self, names: Sequence[str]) -> None:
        if new := sorted(set(names) - self._known):
            with contextlib.suppress(UniqueViolation):  # another one makes them, too
                await self._database.write(
                    LEASES, [UpdateOne({"_id": name}, {"$setOnInsert": {"until": _NEVER}}, upsert=True) for name in new]
                )
            self._known.update(new)


@contextlib.asynccontextmanager
async def lease(database: Database, name: str, seconds: float = LEASE_SECONDS) -> AsyncIterator[asyncio.Task[None]]:
    """Wait until this process is the only one that holds ``name``. The task given fails when the lease is lost."""
    holder = Leases(database, seconds)
    while True:  # who waits for it waits through the database's absences, too
        try:
            await holder.take([name])
        except Unavailable as error:
            log.warning("worker.waiting", task=name, cause=type(error).__name__)
        if holder.held:
            break
        await asyncio.sleep(RETRY_SECONDS)
    task = asyncio.create_task(holder.keeping())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await holder.release()
