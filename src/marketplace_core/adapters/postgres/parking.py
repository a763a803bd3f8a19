"""Keys that wait, in PostgreSQL, beside the handlers' inbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from marketplace_core.adapters._notices import PARKED_CHANNEL
from marketplace_core.adapters.postgres.server import Connection, Database
from marketplace_core.adapters.postgres.units import place_in
from marketplace_core.events import Envelope
from marketplace_core.ports import Message, Parked, RawMessage
from marketplace_core.ports.releasing import DEFER_PAUSES, Head, Kept, ReleasingParking, id_of, id_of_unreadable

__all__ = ["PostgresParking"]

#: How often it is looked whether something may go on where nobody of this process hears of it.
UNHEARD_SECONDS = 1.0

#: When an event is tried again by itself. What was never tried only stood behind another one: as a head it is due at once,
#: whoever left it so, and however that one ended.
_DUE = "coalesce(retry_at, CASE WHEN attempts = 0 THEN at END) AS retry_at"

#: The first event of each key that waits, which speaks for the key. $1: handlers.
_HEADS = f"""
SELECT DISTINCT ON (handler, key) handler, key, {_DUE},
  bool_or(requested IS NOT NULL) OVER (PARTITION BY handler, key) AS asked
FROM marketplace.parked WHERE handler = ANY($1::text[]) ORDER BY handler, key, sequence
"""  # noqa: S608 - constants only


#: After how many seconds one of them may go on. What a person asked for and could not be done is tried again soon. $1: handlers
#: and groups; $2: how soon.
_DUE_IN = f"""
SELECT least(
  CASE WHEN (SELECT bool_or(asked) FROM ({_HEADS}) AS heads)
    OR EXISTS (SELECT FROM marketplace.unreadable WHERE reader = ANY($1::text[]) AND requested IS NOT NULL)
    THEN $2::float8 END,
  (SELECT extract(epoch FROM min(retry_at) - clock_timestamp())::float8 FROM ({_HEADS}) AS heads))
"""  # noqa: S608 - constants only

#: What a person has asked to be tried again or dropped of what nobody could read. $1: groups.
_REQUESTED = """
SELECT id, reader, topic, partition, raw, error, requested FROM marketplace.unreadable
WHERE reader = ANY($1::text[]) AND requested IS NOT NULL ORDER BY at, id LIMIT 100
"""

#: The key is free again, unless later ones wait that failed, too.
_SUPERSEDE = """
WITH gone AS (DELETE FROM marketplace.parked WHERE (handler, key) = ($1, $2) AND sequence <= $3)
INSERT INTO marketplace.inbox AS i (handler, key, sequence, writer) VALUES ($1, $2, $3, $4)
ON CONFLICT (handler, key) DO UPDATE
  SET sequence = greatest(i.sequence, excluded.sequence), writer = coalesce(nullif(excluded.writer, ''), i.writer),
      parked_at = CASE WHEN EXISTS (SELECT FROM marketplace.parked WHERE (handler, key) = ($1, $2) AND sequence > $3)
                  THEN i.parked_at END
"""


class PostgresParking(ReleasingParking):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._told = database.notices.event(PARKED_CHANNEL)

    async def wait(self, names: Sequence[str], seconds: float) -> None:
        due = await self._database.value(_DUE_IN, list(names), UNHEARD_SECONDS)
        longest = seconds if self._database.notices.heard else min(seconds, UNHEARD_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest if due is None else max(0.0, min(longest, due))):
                await self._told.wait()
        self._told.clear()

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        conflict = (
            "DO UPDATE SET error = excluded.error, requested = NULL, retry_at = NULL,"
            " attempts = marketplace.parked.attempts + excluded.attempts"
        )
        await self._wait(handler, message, conflict, error, attempts)

    async def defer(self, handler: str, message: Message, error: str) -> None:
        await self._wait(handler, message, "DO NOTHING", error, 1, DEFER_PAUSES[0])

    async def _wait(
        self, handler: str, message: Message, conflict: str, error: str, attempts: int, pause: float | None = None
    ) -> None:
        """Mark the key, so that nothing of it passes, and keep the event."""

        async def work(connection: Connection) -> None:
            place = await place_in(connection, handler, message)
            row = await connection.row(
                "INSERT INTO marketplace.inbox AS i (handler, key, sequence, parked_at, writer)"
                " VALUES ($1, $2, $3 - 1, now(), $4) ON CONFLICT (handler, key) DO UPDATE"
                " SET parked_at = coalesce(i.parked_at, now()), writer = coalesce(nullif(excluded.writer, ''), i.writer)"
                " WHERE i.sequence < $3 RETURNING i.sequence",
                handler,
                place,
                message.sequence,
                message.writer,
            )
            if row is not None:
                await self._insert(connection, handler, place, message, conflict, error, attempts, pause)

        await self._database.transact(work)
        self._database.notices.tell(PARKED_CHANNEL)  # the loop that waits for what is due first

    async def append(self, handler: str, message: Message) -> bool:
        async def work(connection: Connection) -> bool:
            place = await place_in(connection, handler, message)
            parked = await connection.row(
                "SELECT FROM marketplace.inbox WHERE (handler, key) = ($1, $2) AND parked_at IS NOT NULL FOR UPDATE",
                handler,
                place,
            )
            if parked is None:
                return False
            # What is there already was delivered again: it keeps its error and what a person asked for.
            await self._insert(connection, handler, place, message, "DO NOTHING")
            return True

        return await self._database.transact(work)

    async def _insert(
        self,
        connection: Connection,
        handler: str,
        place: str,
        message: Message,
        conflict: str,
        error: str = "",
        attempts: int = 0,
        pause: float | None = None,
    ) -> None:
        await connection.execute(
            "INSERT INTO marketplace.parked (id, handler, key, sequence, type, envelope, writer, error, attempts, retry_at)"  # noqa: S608
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(secs => $10::float8))"
            f" ON CONFLICT (handler, key, sequence) {conflict}",
            id_of(handler, message),
            handler,
            place,
            message.sequence,
            message.type,
            message.envelope,
            message.writer,
            error,
            attempts,
            pause,
        )

    async def keep(self, group: str, message: RawMessage) -> None:
        await self._database.execute(
            "INSERT INTO marketplace.unreadable (id, reader, topic, partition, raw, error) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT (id) DO NOTHING",
            id_of_unreadable(group, message),
            group,
            message.topic,
            message.partition,
            message.raw,
            message.error,
        )

    async def seen(self, handler: str, event: Message | Envelope) -> int:
        place = await place_in(self._database, handler, event)
        row = await self._database.row("SELECT sequence FROM marketplace.inbox WHERE (handler, key) = ($1, $2)", handler, place)
        return 0 if row is None else row["sequence"]

    async def supersede(self, handler: str, event: Envelope) -> None:
        place = await place_in(self._database, handler, event)
        await self._database.execute(_SUPERSEDE, handler, place, event.sequence, event.writer)

    async def list(self, names: Sequence[str]) -> list[Parked]:
        rows = await self._database.fetch(
            "SELECT DISTINCT ON (handler, key) id, handler, key, coalesce(type, envelope::json->>'type') AS type, sequence,"  # noqa: S608
            f" error, attempts, at, count(*) OVER (PARTITION BY handler, key) - 1 AS waiting, {_DUE}"
            " FROM marketplace.parked WHERE handler = ANY($1::text[]) ORDER BY handler, key, sequence",
            list(names),
        )
        rows += await self._database.fetch(
            "SELECT id, reader AS handler, topic || ':' || partition AS key, '' AS type, 0::bigint AS sequence, error,"
            " attempts, at, 0::bigint AS waiting FROM marketplace.unreadable WHERE reader = ANY($1::text[]) ORDER BY at, id",
            list(names),
        )
        return [Parked(**row) for row in rows]

    async def backlog(self, handlers: Sequence[str]) -> int:
        count: int = await self._database.value(
            f"SELECT count(*) FROM ({_HEADS}) AS heads WHERE retry_at IS NOT NULL",  # noqa: S608 - constants
            list(handlers),
        )
        return count

    async def count(self, names: Sequence[str]) -> dict[tuple[str, str], int]:
        """Keys that wait, by handler and whether they are ``parked`` or ``deferred``; and ``unreadable`` messages by group."""
        rows = await self._database.fetch(
            "SELECT handler, CASE WHEN retry_at IS NULL THEN 'parked' ELSE 'deferred' END AS state, count(*) AS count"  # noqa: S608
            f" FROM ({_HEADS}) AS heads GROUP BY handler, state"
            " UNION ALL SELECT reader, 'unreadable', count(*) FROM marketplace.unreadable WHERE reader = ANY($1::text[])"
            " GROUP BY reader",
            list(names),
        )
        return {(row["handler"], row["state"]): row["count"] for row in rows}

    async def request(self, id_: str, *, drop: bool) -> bool:
        row = await self._database.row(
            "WITH parked AS (UPDATE marketplace.parked SET requested = $2 WHERE id = $1 RETURNING id),"  # noqa: S608
            " unreadable AS (UPDATE marketplace.unreadable SET requested = $2 WHERE id = $1 RETURNING id)"
            f" SELECT id, pg_notify('{PARKED_CHANNEL}', '')::text FROM"
            " (SELECT id FROM parked UNION ALL SELECT id FROM unreadable) AS asked",
            id_,
            "drop" if drop else "replay",
        )
        return row is not None

    # ── what goes on ─────────────────────────────────────────────────────────────────────────────────────────

    async def ready(self, handlers: Sequence[str]) -> Sequence[tuple[str, str]]:
        keys = await self._database.fetch(
            f"SELECT handler, key FROM ({_HEADS}) AS heads WHERE asked OR retry_at <= now() ORDER BY retry_at",  # noqa: S608
            list(handlers),
        )
        return [(row["handler"], row["key"]) for row in keys]

    async def head(self, handler: str, key: str) -> Head | None:
        row = await self._database.row(
            "SELECT id, key, sequence, type, envelope, writer, requested FROM marketplace.parked"
            " WHERE (handler, key) = ($1, $2) ORDER BY sequence LIMIT 1",
            handler,
            key,
        )
        return Head(**row) if row else None

    async def pass_over(self, handler: str, head: Head) -> None:
        await self._database.execute(
            "UPDATE marketplace.inbox SET sequence = greatest(sequence, $3) WHERE (handler, key) = ($1, $2)",
            handler,
            head.key,
            head.sequence,
        )

    async def forget(self, id_: str) -> None:
        await self._database.execute("DELETE FROM marketplace.parked WHERE id = $1", id_)

    async def failed_again(self, id_: str, error: str) -> None:
        await self._database.execute(
            "UPDATE marketplace.parked SET error = $2, requested = NULL, retry_at = NULL, attempts = attempts + 1"
            " WHERE id = $1",
            id_,
            error,
        )

    async def wait_longer(self, handler: str, key: str, error: str) -> None:
        await self._database.execute(
            "UPDATE marketplace.parked p SET attempts = attempts + 1, error = $3,"
            " retry_at = now() + make_interval(secs => ($4::float8[])[least(attempts + 1, cardinality($4::float8[]))])"
            " WHERE p.id = (SELECT id FROM marketplace.parked WHERE (handler, key) = ($1, $2) ORDER BY sequence LIMIT 1)"
            " AND requested IS NULL",
            handler,
            key,
            error,
            list(DEFER_PAUSES),
        )

    async def unpark(self, handler: str, key: str) -> bool:
        async def work(connection: Connection) -> bool:
            await connection.execute("SELECT FROM marketplace.inbox WHERE (handler, key) = ($1, $2) FOR UPDATE", handler, key)
            if await connection.row("SELECT FROM marketplace.parked WHERE (handler, key) = ($1, $2) LIMIT 1", handler, key):
                return False
            await connection.execute(
                "UPDATE marketplace.inbox SET parked_at = NULL WHERE (handler, key) = ($1, $2)", handler, key
            )
            return True

        return await self._database.transact(work)

    async def requested(self, groups: Sequence[str]) -> Sequence[Kept]:
        rows = await self._database.fetch(_REQUESTED, list(groups))
        return [Kept(**row | {"raw": bytes(row["raw"])}) for row in rows]

    async def still_unreadable(self, id_: str, error: str) -> None:
        await self._database.execute(
            "UPDATE marketplace.unreadable SET requested = NULL, attempts = attempts + 1, error = $2 WHERE id = $1", id_, error
        )

    async def forget_unreadable(self, id_: str) -> None:
        await self._database.execute("DELETE FROM marketplace.unreadable WHERE id = $1", id_)
