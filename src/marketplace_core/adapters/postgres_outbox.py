"""The outbox's lanes and the parked keys in PostgreSQL, and the schema that they and the claims live in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from psqlpy.exceptions import Error as DriverError

from marketplace_core.adapters._waits import ANSWER_SECONDS
from marketplace_core.adapters.postgres import Connection, Database, json_text, translated
from marketplace_core.adapters.postgres_units import LANES, NOTIFY_CHANNEL, _replaying
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, decode_envelope
from marketplace_core.outbox import Lanes, Outbox, OutboxRow, Parked, Parking, Subscription, apply_event

__all__ = ["CORE_MIGRATIONS", "PostgresOutbox", "PostgresParking"]

_LOCK_CLASS = 0x6D6B7470  # "mktp"
#: Rows that were sent are marked together, once this long nothing came after them: a commit for each costs more than
#: sending some again after a crash.
_LINGER_SECONDS = 0.05
_MOST_UNMARKED = 200
#: How long the session that holds the lanes may say nothing; it polls twice a second.
_IDLE_SECONDS = 30
#: Seconds before each further try of a key for which somebody is away; the last one repeats.
_DEFER_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
#: Keys that are released at a time: each may wait for the time-out of who is away.
_RELEASE_AT_ONCE = 8

#: Migrations of what core itself keeps in each database, numbered from 1, forward only.
CORE_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE marketplace.idempotency (
      scope text NOT NULL, method text NOT NULL, key text NOT NULL,
      digest text NOT NULL, refused boolean NOT NULL, body text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (scope, method, key));
    CREATE INDEX ON marketplace.idempotency (created_at);
    CREATE TABLE marketplace.aggregates (
      topic text NOT NULL, key text NOT NULL, sequence bigint NOT NULL, PRIMARY KEY (topic, key))
      WITH (fillfactor = 80);
    CREATE TABLE marketplace.outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      kind text NOT NULL, topic text NOT NULL, type text NOT NULL, key text NOT NULL,
      lane smallint NOT NULL, sequence bigint, event_id text NOT NULL, payload text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(), relayed_at timestamptz);
    CREATE INDEX outbox_pending ON marketplace.outbox (id) WHERE relayed_at IS NULL;
    CREATE TABLE marketplace.inbox (
      handler text NOT NULL, key text NOT NULL, sequence bigint NOT NULL, parked_at timestamptz,
      PRIMARY KEY (handler, key)) WITH (fillfactor = 80);
    CREATE TABLE marketplace.parked (
      id text PRIMARY KEY, handler text NOT NULL, key text NOT NULL, sequence bigint NOT NULL,
      envelope text NOT NULL, error text NOT NULL DEFAULT '', attempts int NOT NULL DEFAULT 0,
      at timestamptz NOT NULL DEFAULT now(), requested text, UNIQUE (handler, key, sequence));
    """,
    """
    CREATE TABLE marketplace.schedules (
      name text PRIMARY KEY, last_at timestamptz, failures int NOT NULL DEFAULT 0, error text NOT NULL DEFAULT '',
      retry_at timestamptz, owner text, owned_until timestamptz) WITH (fillfactor = 80);
    """,
    "ALTER TABLE marketplace.parked ADD COLUMN retry_at timestamptz",
    "ALTER TABLE marketplace.outbox ADD COLUMN trace text NOT NULL DEFAULT ''",
)


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

            await listener.add_callback(channel=NOTIFY_CHANNEL, callback=wake)
            async with asyncio.timeout(ANSWER_SECONDS):
                await listener.startup()
            listener.listen()
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

    async def purge(self) -> None:
        """Forget rows that were sent more than a week ago, and answers older than two days."""
        await self._database.execute("DELETE FROM marketplace.outbox WHERE relayed_at < now() - interval '7 days'")
        await self._database.execute("DELETE FROM marketplace.idempotency WHERE created_at < now() - interval '2 days'")


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
            "SELECT id, kind, topic, type, key, sequence, event_id, payload, trace FROM marketplace.outbox"
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
        if self._sent and not await self._is_woken(min(_LINGER_SECONDS, seconds)):
            await self.flush()
        if not self._woken.is_set():
            await self._is_woken(seconds)
        self._woken.clear()
        if len(self._owned) < LANES and asyncio.get_running_loop().time() - self._tried > 1.0:
            await self.take()

    async def _is_woken(self, seconds: float) -> bool:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        return self._woken.is_set()


#: When an event is tried again by itself. What was never tried only stood behind another one: as a head it is due at once,
#: whoever left it so, and however that one ended.
_DUE = "coalesce(retry_at, CASE WHEN attempts = 0 THEN at END) AS retry_at"

#: The first event of each key that waits, which speaks for the key. $1: handlers.
_HEADS = f"""
SELECT DISTINCT ON (handler, key) handler, key, {_DUE},
  bool_or(requested IS NOT NULL) OVER (PARTITION BY handler, key) AS asked
FROM marketplace.parked WHERE handler = ANY($1::text[]) ORDER BY handler, key, sequence
"""  # noqa: S608 - constants only


class PostgresParking(Parking):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def park(self, handler: str, envelope: Envelope, error: str, attempts: int) -> None:
        conflict = (
            "DO UPDATE SET error = excluded.error, requested = NULL, retry_at = NULL,"
            " attempts = marketplace.parked.attempts + excluded.attempts"
        )
        await self._wait(handler, envelope, conflict, error, attempts)

    async def defer(self, handler: str, envelope: Envelope, error: str) -> None:
        await self._wait(handler, envelope, "DO NOTHING", error, 1, _DEFER_PAUSES[0])

    async def _wait(
        self, handler: str, envelope: Envelope, conflict: str, error: str, attempts: int, pause: float | None = None
    ) -> None:
        """Mark the key, so that nothing of it passes, and keep the event."""

        async def work(connection: Connection) -> None:
            await connection.execute(
                "INSERT INTO marketplace.inbox AS i (handler, key, sequence, parked_at) VALUES ($1, $2, $3, now())"
                " ON CONFLICT (handler, key) DO UPDATE SET parked_at = coalesce(i.parked_at, now())",
                handler,
                f"{envelope.topic}:{envelope.key}",
                envelope.sequence - 1,
            )
            await self._insert(connection, handler, envelope, conflict, error, attempts, pause)

        await self._database.transact(work)

    async def append(self, handler: str, envelope: Envelope) -> bool:
        async def work(connection: Connection) -> bool:
            parked = await connection.row(
                "SELECT FROM marketplace.inbox WHERE (handler, key) = ($1, $2) AND parked_at IS NOT NULL FOR UPDATE",
                handler,
                f"{envelope.topic}:{envelope.key}",
            )
            if parked is None:
                return False
            # What is there already was delivered again: it keeps its error and what a person asked for.
            await self._insert(connection, handler, envelope, "DO NOTHING")
            return True

        return await self._database.transact(work)

    async def _insert(
        self,
        connection: Connection,
        handler: str,
        envelope: Envelope,
        conflict: str,
        error: str = "",
        attempts: int = 0,
        pause: float | None = None,
    ) -> None:
        await connection.execute(
            "INSERT INTO marketplace.parked (id, handler, key, sequence, envelope, error, attempts, retry_at)"  # noqa: S608
            " VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8::float8))"
            f" ON CONFLICT (handler, key, sequence) {conflict}",
            f"{handler}:{envelope.id}",
            handler,
            f"{envelope.topic}:{envelope.key}",
            envelope.sequence,
            json_text(envelope),
            error,
            attempts,
            pause,
        )

    async def list(self, handlers: Sequence[str]) -> list[Parked]:
        rows = await self._database.fetch(
            "SELECT DISTINCT ON (handler, key) id, handler, key, envelope::json->>'type' AS type, sequence, error,"  # noqa: S608
            f" attempts, at, count(*) OVER (PARTITION BY handler, key) - 1 AS waiting, {_DUE}"
            " FROM marketplace.parked WHERE handler = ANY($1::text[]) ORDER BY handler, key, sequence",
            list(handlers),
        )
        return [Parked(**row) for row in rows]

    async def backlog(self, handlers: Sequence[str]) -> int:
        count: int = await self._database.value(
            f"SELECT count(*) FROM ({_HEADS}) AS heads WHERE retry_at IS NOT NULL",  # noqa: S608 - constants
            list(handlers),
        )
        return count

    async def count(self, handlers: Sequence[str]) -> dict[tuple[str, str], int]:
        """Keys that wait, by handler and whether they are ``parked`` or ``deferred``."""
        rows = await self._database.fetch(
            "SELECT handler, CASE WHEN retry_at IS NULL THEN 'parked' ELSE 'deferred' END AS state, count(*) AS count"  # noqa: S608
            f" FROM ({_HEADS}) AS heads GROUP BY handler, state",
            list(handlers),
        )
        return {(row["handler"], row["state"]): row["count"] for row in rows}

    async def request(self, id_: str, *, drop: bool) -> bool:
        row = await self._database.row(
            "UPDATE marketplace.parked SET requested = $2 WHERE id = $1 RETURNING id",
            id_,
            "drop" if drop else "replay",
        )
        return row is not None

    async def release(self, handlers: Mapping[str, Subscription]) -> int:
        keys = await self._database.fetch(
            f"SELECT handler, key FROM ({_HEADS}) AS heads WHERE asked OR retry_at <= now() ORDER BY retry_at",  # noqa: S608
            list(handlers),
        )
        released = 0
        for begin in range(0, len(keys), _RELEASE_AT_ONCE):
            some = keys[begin : begin + _RELEASE_AT_ONCE]
            ends = await asyncio.gather(
                *(self._try_key(handlers[row["handler"]], row["key"]) for row in some), return_exceptions=True
            )
            for end in ends:
                if isinstance(end, BaseException):
                    raise end
                released += end
        return released

    async def _try_key(self, subscription: Subscription, key: str) -> int:
        try:
            return await self._release_key(subscription, key)
        except (Unavailable, OSError) as error:
            # What a person asked for stays so, and is tried again in the next round.
            await self._database.execute(
                "UPDATE marketplace.parked p SET attempts = attempts + 1, error = $3,"
                " retry_at = now() + make_interval(secs => ($4::float8[])[least(attempts + 1, cardinality($4::float8[]))])"
                " WHERE p.id = (SELECT id FROM marketplace.parked WHERE (handler, key) = ($1, $2) ORDER BY sequence LIMIT 1)"
                " AND requested IS NULL",
                subscription.name,
                key,
                f"{type(error).__name__}: {error}",
                list(_DEFER_PAUSES),
            )
            return 0

    async def _release_key(self, subscription: Subscription, key: str) -> int:
        """Replay the key's events in order until none is left, or one fails again and keeps the key parked."""
        released = 0
        while True:
            head = await self._database.row(
                "SELECT id, sequence, envelope, requested FROM marketplace.parked"
                " WHERE (handler, key) = ($1, $2) ORDER BY sequence LIMIT 1",
                subscription.name,
                key,
            )
            if head is None:
                if await self._unpark(subscription.name, key):
                    return released
                continue
            if head["requested"] == "drop":
                await self._database.execute(
                    "UPDATE marketplace.inbox SET sequence = greatest(sequence, $3) WHERE (handler, key) = ($1, $2)",
                    subscription.name,
                    key,
                    head["sequence"],
                )
            else:
                envelope = decode_envelope(head["envelope"], head["sequence"])
                token = _replaying.set(True)
                try:
                    await apply_event(subscription, envelope)
                except (Unavailable, OSError):
                    raise
                except Exception as error:
                    await self.park(subscription.name, envelope, f"{type(error).__name__}: {error}", 1)
                    return released
                finally:
                    _replaying.reset(token)
            await self._database.execute("DELETE FROM marketplace.parked WHERE id = $1", head["id"])
            released += 1

    async def _unpark(self, handler: str, key: str) -> bool:
        async def work(connection: Connection) -> bool:
            await connection.execute("SELECT FROM marketplace.inbox WHERE (handler, key) = ($1, $2) FOR UPDATE", handler, key)
            if await connection.row("SELECT FROM marketplace.parked WHERE (handler, key) = ($1, $2) LIMIT 1", handler, key):
                return False
            await connection.execute(
                "UPDATE marketplace.inbox SET parked_at = NULL WHERE (handler, key) = ($1, $2)", handler, key
            )
            return True

        return await self._database.transact(work)
