"""The outbox in PostgreSQL, and its lanes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from psqlpy.exceptions import Error as DriverError

from marketplace_core.adapters._notices import PARKED_CHANNEL
from marketplace_core.adapters._waits import ANSWER_SECONDS
from marketplace_core.adapters.postgres.server import Connection, Database, translated
from marketplace_core.adapters.postgres.units import LANES, NOTIFY_CHANNEL
from marketplace_core.outbox import Lanes, Outbox
from marketplace_core.ports.outbox import OutboxRow

__all__ = ["PostgresOutbox"]

_LOCK_CLASS = 0x6D6B7470  # "mktp"
#: Rows that were sent are marked together, once this long nothing came after them: a commit for each costs more than
#: sending some again after a crash.
_LINGER_SECONDS = 0.05
_MOST_UNMARKED = 200
#: How long the session that holds the lanes may say nothing; it looks every few seconds.
_IDLE_SECONDS = 30
_TAKE_SECONDS = 1.0


#: How many rows a statement of a purge looks at: it holds its locks no longer than those take.
PURGE_BATCH = 1000

#: Rows are numbered as they come, so the old ones are those with the lowest ids: an index on the time when they were sent
#: would have to be kept with each row, for this alone. $1: the id after which to begin, $2: how many to look at. Gives the id
#: to go on from, or null where the rest is too young.
PURGE_SENT = """
WITH seen AS MATERIALIZED (
  SELECT id, created_at, relayed_at FROM marketplace.outbox WHERE id > $1::bigint ORDER BY id LIMIT $2::int
), gone AS (
  DELETE FROM marketplace.outbox WHERE id = ANY (ARRAY(SELECT id FROM seen WHERE relayed_at < now() - interval '7 days'))
)
SELECT id FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) AS place FROM seen) AS numbered
WHERE place = $2::int AND created_at < now() - interval '7 days'
"""

#: By the place of the rows, as a join could choose to read all of them. $1: at most so many; gives how many there were.
PURGE_ANSWERS = """
WITH gone AS (
  DELETE FROM marketplace.idempotency WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM marketplace.idempotency WHERE created_at < now() - interval '2 days'
    ORDER BY created_at LIMIT $1::int FOR UPDATE SKIP LOCKED)) RETURNING 1)
SELECT count(*) FROM gone
"""


class PostgresOutbox(Outbox):
    """The outbox of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        """Locks and rows go over one session: when it dies, so does the right to send."""
        try:
            listener = self._database.pool.listener()
            woken = asyncio.Event()

            async def wake(*_: Any) -> None:
                woken.set()

            async def tell(*_: Any) -> None:
                self._database.notices.tell(PARKED_CHANNEL)

            await listener.add_callback(channel=NOTIFY_CHANNEL, callback=wake)
            await listener.add_callback(channel=PARKED_CHANNEL, callback=tell)
            async with asyncio.timeout(ANSWER_SECONDS):
                await listener.startup()
            listener.listen()
            self._database.notices.heard = True
            try:
                async with self._database.connection() as connection:
                    lanes = _PostgresLanes(connection, woken)
                    # Where the server does not hear that we are gone, it ends the session that the lanes are locked by.
                    await connection.execute(f"SET idle_session_timeout = '{_IDLE_SECONDS}s'")
                    try:
                        await lanes.take()
                        yield lanes
                    finally:
                        with contextlib.suppress(Exception):
                            await lanes.flush()
                        # Whatever came of that: a session that goes back into the pool with its locks keeps them for ever.
                        with contextlib.suppress(Exception):
                            await connection.execute("SELECT pg_advisory_unlock_all()::text")
                            await connection.execute("RESET idle_session_timeout")
            finally:
                self._database.notices.heard = False
                with contextlib.suppress(Exception):
                    listener.abort_listen()
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await listener.shutdown()
        except DriverError as error:
            raise translated(error)  # noqa: B904 - it has its cause

    async def backlog(self) -> int:
        count: int = await self._database.value("SELECT count(*) FROM marketplace.outbox WHERE relayed_at IS NULL")
        return count

    async def oldest(self) -> float:
        """For how many seconds the oldest row has waited to be sent; 0 where none does."""
        age: float = await self._database.value(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8"
            " FROM marketplace.outbox WHERE relayed_at IS NULL"
        )
        return age

    async def position(self) -> int:
        """The number of the last row that was written; 0 before the first."""
        last: int = await self._database.value("SELECT coalesce(max(id), 0) FROM marketplace.outbox")
        return last

    async def kept(self, after: int, limit: int) -> list[OutboxRow]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, kind, topic, type, key, sequence, event_id, payload, trace,"
                " (SELECT id FROM marketplace.writer) AS writer FROM marketplace.outbox"
                " WHERE id > $1::bigint AND kind = 'event' ORDER BY id LIMIT $2::int",
                after,
                limit,
            )
        return [OutboxRow(**row) for row in rows]

    async def purge(self) -> None:
        """Forget rows that were sent more than a week ago, and answers older than two days."""
        after: int | None = 0
        while after is not None:
            after = await self._database.value(PURGE_SENT, after, PURGE_BATCH)
        while await self._database.value(PURGE_ANSWERS, PURGE_BATCH) == PURGE_BATCH:
            pass


class _PostgresLanes(Lanes):
    def __init__(self, connection: Connection, woken: asyncio.Event) -> None:
        self._connection = connection
        self._woken = woken
        self._owned: list[int] = []
        self._sent: list[int] = []  # not yet marked
        self._tried = 0.0

    async def take(self) -> None:
        rows = await self._connection.fetch(
            f"SELECT lane FROM generate_series(0, {LANES - 1}) AS lane"  # noqa: S608 - constants only
            f" WHERE lane <> ALL($1::int[]) AND pg_try_advisory_lock({_LOCK_CLASS}, lane)",
            self._owned,
        )
        self._owned += [row["lane"] for row in rows]
        self._tried = asyncio.get_running_loop().time()

    async def pending(self, limit: int) -> list[OutboxRow]:
        if not self._owned:
            return []
        rows = await self._connection.fetch(
            "SELECT id, kind, topic, type, key, sequence, event_id, payload, trace,"
            " (SELECT id FROM marketplace.writer) AS writer FROM marketplace.outbox"
            " WHERE relayed_at IS NULL AND lane = ANY($1::smallint[]) AND id <> ALL($3::bigint[]) ORDER BY id LIMIT $2",
            self._owned,
            limit,
            self._sent,
        )
        return [OutboxRow(**row) for row in rows]

    async def mark(self, ids: Sequence[int]) -> None:
        self._sent += ids
        if len(self._sent) >= _MOST_UNMARKED:
            await self.flush()

    async def flush(self) -> None:
        if self._sent:
            await self._connection.execute(
                "UPDATE marketplace.outbox SET relayed_at = now() WHERE id = ANY($1::bigint[])", self._sent
            )
            self._sent = []

    async def wait(self, seconds: float) -> None:
        if len(self._owned) < LANES:  # those that somebody leaves are not told of
            seconds = min(seconds, _TAKE_SECONDS)
        if self._sent and not await self._is_woken(min(_LINGER_SECONDS, seconds)):
            await self.flush()
        if not self._woken.is_set():
            await self._is_woken(seconds)
        self._woken.clear()
        if len(self._owned) < LANES and asyncio.get_running_loop().time() - self._tried >= _TAKE_SECONDS:
            await self.take()

    async def _is_woken(self, seconds: float) -> bool:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        return self._woken.is_set()
