"""Keys that wait, in PostgreSQL, beside the handlers' inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from marketplace_core.adapters.postgres.server import Connection, Database, json_text
from marketplace_core.adapters.postgres.units import replaying
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, decode_envelope
from marketplace_core.outbox import Parked, Parking, Subscription, apply_event

__all__ = ["PostgresParking"]

#: Seconds before each further try of a key for which somebody is away; the last one repeats.
_DEFER_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
#: Keys that are released at a time: each may wait for the time-out of who is away.
_RELEASE_AT_ONCE = 8

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
                token = replaying.set(True)
                try:
                    await apply_event(subscription, envelope)
                except (Unavailable, OSError):
                    raise
                except Exception as error:
                    await self.park(subscription.name, envelope, f"{type(error).__name__}: {error}", 1)
                    return released
                finally:
                    replaying.reset(token)
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
