"""The outbox in MongoDB, and its lanes, each of which is a lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from marketplace_core.adapters._notices import PARKED_CHANNEL
from marketplace_core.adapters.mongo.leases import LEASE_SECONDS, Leases
from marketplace_core.adapters.mongo.schema import OUTBOX, PARKED, UNREADABLE, WRITER
from marketplace_core.adapters.mongo.server import Database, Document
from marketplace_core.adapters.mongo.units import LANES
from marketplace_core.errors import Unavailable
from marketplace_core.ports.outbox import Lanes, Outbox, OutboxRow

__all__ = ["MongoOutbox"]

#: Rows that were sent are marked together, once this long nothing came after them: a commit for each costs more than
#: sending some again after a crash.
_LINGER_SECONDS = 0.05
_MOST_UNMARKED = 200
_TAKE_SECONDS = 1.0
_NAMES = [f"lane-{lane}" for lane in range(LANES)]
#: What the relay and who waits for parked keys are told of: rows that came, and what a person asked for.
_CHANGES: Document = {
    "$or": [
        {"ns.coll": OUTBOX, "operationType": "insert"},
        {
            "ns.coll": {"$in": [PARKED, UNREADABLE]},
            "operationType": "update",
            "updateDescription.updatedFields.requested": {"$in": ["replay", "drop"]},
        },
    ]
}


class MongoOutbox(Outbox):
    """The outbox of one database."""

    def __init__(self, database: Database, *, lease: float = LEASE_SECONDS) -> None:
        """``lease``: seconds after which the lanes of a killed relay may be another's."""
        self._database, self._lease = database, lease

    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        """Who has not renewed its leases in time sends nothing more, and begins anew."""
        leases = Leases(self._database, self._lease)
        async with self._database.watching(_CHANGES) as following:
            lanes = _MongoLanes(self._database, leases, await _writer(self._database))
            tasks = [asyncio.create_task(act) for act in (lanes.told(following), leases.keeping())]
            for task in tasks:
                task.add_done_callback(lanes.ended)
            self._database.notices.heard = True
            try:
                await lanes.take()
                yield lanes
            finally:
                self._database.notices.heard = False
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for act in (lanes.flush, leases.release):
                    with contextlib.suppress(Exception):
                        await act()

    async def backlog(self) -> int:
        return await self._database.count(OUTBOX, {"pending": True})

    async def oldest(self) -> float:
        row = await self._database.find_one(OUTBOX, {"pending": True}, sort=[("created_at", 1)], fields={"created_at": 1})
        return 0.0 if row is None else max(0.0, (datetime.now(UTC) - row["created_at"]).total_seconds())

    async def position(self) -> int:
        """The number of the last row that was written; 0 before the first."""
        row = await self._database.find_one(OUTBOX, {}, sort=[("_id", -1)], fields={"_id": 1})
        return 0 if row is None else row["_id"]

    async def kept(self, after: int, limit: int) -> list[OutboxRow]:
        writer = await _writer(self._database)
        rows = await self._database.find(OUTBOX, {"_id": {"$gt": after}, "kind": "event"}, sort=[("_id", 1)], limit=limit)
        return [_outbox_row(row, writer) for row in rows]

    async def purge(self) -> None:
        """The server forgets by itself what is old, by its indexes on the time."""


async def _writer(database: Database) -> str:
    """Whose sequences these are, which moves with the database."""
    row = await database.find_one(WRITER, {})
    return "" if row is None else row["_id"]


def _outbox_row(row: Document, writer: str) -> OutboxRow:
    return OutboxRow(
        id=row["_id"],
        kind=row["kind"],
        topic=row["topic"],
        type=row["type"],
        key=row["key"],
        sequence=row["sequence"],
        event_id=row["event_id"],
        payload=row["payload"],
        trace=row["trace"],
        writer=writer,
    )


class _MongoLanes(Lanes):
    def __init__(self, database: Database, leases: Leases, writer: str) -> None:
        self._database, self._leases, self._writer = database, leases, writer
        self._woken = asyncio.Event()
        self._broken = False
        self._sent: list[int] = []  # not yet marked
        self._tried = 0.0

    def ended(self, _: asyncio.Task[Any]) -> None:
        """Nobody tells of what comes, or renews what is held, any more."""
        self._broken = True
        self._woken.set()

    async def told(self, following: Callable[[], Coroutine[Any, Any, Document | None]]) -> None:
        while True:
            change = await following()
            if change is not None and change["ns"]["coll"] == OUTBOX:
                self._woken.set()
            elif change is not None:
                self._database.notices.tell(PARKED_CHANNEL)

    async def take(self) -> None:
        await self._leases.take([name for name in _NAMES if name not in self._leases.held])
        self._tried = asyncio.get_running_loop().time()

    def _check(self) -> None:
        if self._broken or not self._leases.sure:
            raise Unavailable("The lanes may be another's by now.")

    async def pending(self, limit: int) -> list[OutboxRow]:
        if not self._leases.held:
            return []
        lanes = [lane for lane, name in enumerate(_NAMES) if name in self._leases.held]
        where = {"pending": True, "lane": {"$in": lanes}, "_id": {"$nin": self._sent}}
        rows = await self._database.find(OUTBOX, where, sort=[("_id", 1)], limit=limit)
        self._check()
        return [_outbox_row(row, self._writer) for row in rows]

    async def mark(self, ids: Sequence[int]) -> None:
        self._sent += ids
        if len(self._sent) >= _MOST_UNMARKED:
            await self.flush()

    async def flush(self) -> None:
        if self._sent:
            change = {"$set": {"relayed_at": datetime.now(UTC)}, "$unset": {"pending": ""}}
            await self._database.update(OUTBOX, {"_id": {"$in": self._sent}}, change)
            self._sent = []

    async def wait(self, seconds: float) -> None:
        self._check()
        if len(self._leases.held) < LANES:  # those that somebody leaves are not told of
            seconds = min(seconds, _TAKE_SECONDS)
        if self._sent and not await self._is_woken(min(_LINGER_SECONDS, seconds)):
            await self.flush()
        if not self._woken.is_set():
            await self._is_woken(seconds)
        self._woken.clear()
        self._check()
        if len(self._leases.held) < LANES and asyncio.get_running_loop().time() - self._tried >= _TAKE_SECONDS:
            await self.take()

    async def _is_woken(self, seconds: float) -> bool:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        return self._woken.is_set()
