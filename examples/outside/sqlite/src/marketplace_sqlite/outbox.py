"""The outbox in SQLite. One relay has all of it: who else has the file open waits for the lock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence

from marketplace_core.errors import Unavailable
from marketplace_core.ports import Lanes, Outbox, OutboxRow
from marketplace_sqlite.server import Connection, Database
from marketplace_sqlite.shared import FileLock

__all__ = ["SqliteOutbox"]

#: Rows that were sent are marked together, once this long nothing came after them: a commit for each costs more than
#: sending some again after a crash.
_LINGER_SECONDS = 0.05
_MOST_UNMARKED = 200
#: How often it is looked whether another process has committed something: by a number, which costs some microseconds.
LOOK_SECONDS = 0.1
_TAKE_SECONDS = 1.0
_WEEK, _TWO_DAYS = 7 * 86_400.0, 2 * 86_400.0
#: How many rows a transaction of a purge looks at: others wait for it.
PURGE_BATCH = 1000

_PENDING = """
SELECT id, kind, topic, type, key, sequence, event_id, payload, trace, (SELECT id FROM marketplace_writer) AS writer
FROM marketplace_outbox WHERE relayed_at IS NULL AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?
"""


class SqliteOutbox(Outbox):
    """The outbox of one file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        lanes = _SqliteLanes(self._database)
        try:
            await lanes.begin()
            yield lanes
        finally:
            with contextlib.suppress(Exception):
                await lanes.flush()
            await lanes.end()

    async def backlog(self) -> int:
        count: int = await self._database.value("SELECT count(*) FROM marketplace_outbox WHERE relayed_at IS NULL")
        return count

    async def oldest(self) -> float:
        at = await self._database.value(
            "SELECT created_at FROM marketplace_outbox WHERE relayed_at IS NULL ORDER BY id LIMIT 1"
        )
        return 0.0 if at is None else max(0.0, time.time() - at)

    async def position(self) -> int:
        last: int = await self._database.value("SELECT coalesce(max(id), 0) FROM marketplace_outbox")
        return last

    async def purge(self) -> None:
        """Forget rows that were sent more than a week ago, and answers older than two days: the old have the lowest ids."""
        after: int | None = 0
        while after is not None:
            after = await self._database.write(lambda raw, after=after: _purge_sent(raw, after))  # type: ignore[misc]
        while await self._database.write(_purge_answers) == PURGE_BATCH:
            pass


def _purge_sent(raw: sqlite3.Connection, after: int) -> int | None:
    """The id to go on from; None: the rest is too young."""
    rows = raw.execute(
        "SELECT id, created_at, relayed_at FROM marketplace_outbox WHERE id > ? ORDER BY id LIMIT ?", (after, PURGE_BATCH)
    ).fetchall()
    before = time.time() - _WEEK
    gone = [row["id"] for row in rows if row["relayed_at"] is not None and row["relayed_at"] < before]
    raw.execute("DELETE FROM marketplace_outbox WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(gone),))
    return rows[-1]["id"] if len(rows) == PURGE_BATCH and rows[-1]["created_at"] < before else None


def _purge_answers(raw: sqlite3.Connection) -> int:
    return raw.execute(
        "DELETE FROM marketplace_idempotency WHERE (scope, method, key) IN (SELECT scope, method, key"
        " FROM marketplace_idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?)",
        (time.time() - _TWO_DAYS, PURGE_BATCH),
    ).rowcount


class _SqliteLanes(Lanes):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = FileLock(database.path, "relay")
        self._session = Connection(database.path)  # its own: what others have committed is counted by connection
        self._woken = database.told.event()
        self._seen = 0
        self._sent: list[int] = []  # not yet marked

    async def begin(self) -> None:
        self._seen = await self._session.do(_version)
        self._lock.take()

    async def end(self) -> None:
        self._lock.release()
        await self._session.close()

    async def pending(self, limit: int) -> list[OutboxRow]:
        if not self._lock.held:
            return []

        def read(raw: sqlite3.Connection) -> list[OutboxRow]:
            self._seen = _version(raw)
            return [OutboxRow(**row) for row in raw.execute(_PENDING, (json.dumps(self._sent), limit))]

        return await self._session.do(read)

    async def mark(self, ids: Sequence[int]) -> None:
        self._sent += ids
        if len(self._sent) >= _MOST_UNMARKED:
            await self.flush()

    async def flush(self) -> None:
        if self._sent:
            await self._database.execute(
                "UPDATE marketplace_outbox SET relayed_at = ? WHERE id IN (SELECT value FROM json_each(?))",
                time.time(),
                json.dumps(self._sent),
            )
            self._sent = []

    async def wait(self, seconds: float) -> None:
        if self._lock.lost:
            raise Unavailable("The lock of the relay was taken away.")
        if not self._lock.held:  # nobody tells of one that is given back
            seconds = min(seconds, _TAKE_SECONDS)
        if self._sent and not await self._is_woken(min(_LINGER_SECONDS, seconds)):
            await self.flush()
        if not self._woken.is_set():
            await self._is_woken(seconds)
        self._woken.clear()
        self._lock.take()

    async def _is_woken(self, seconds: float) -> bool:
        """By this process at once; by others when it is looked."""
        until = time.monotonic() + seconds
        while not self._woken.is_set() and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_SECONDS)):
                    await self._woken.wait()
            if not self._woken.is_set() and self._lock.held and await self._session.do(_version) != self._seen:
                return True
        return self._woken.is_set()


def _version(raw: sqlite3.Connection) -> int:
    """Another one once another connection has committed."""
    found: int = raw.execute("PRAGMA data_version").fetchall()[0]["data_version"]
    return found
