"""Keys that wait, in SQLite, beside the handlers' inbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from marketplace_core.events import Envelope
from marketplace_core.ports import Message, Parked, RawMessage
from marketplace_core.ports.releasing import (
    Head,
    Kept,
    ReleasingParking,
    id_of,
    id_of_unreadable,
    pause_after,
)
from marketplace_sqlite.server import Database, Row
from marketplace_sqlite.units import place_in

__all__ = ["SqliteParking"]

#: How often it is looked whether another process has asked for something.
LOOK_SECONDS = 1.0

#: The first event of each key that waits, which speaks for the key. What was never tried only stood behind another one: as a
#: head it is due at once. ?1: handlers, as JSON.
_HEADS = """
SELECT * FROM (
  SELECT id, handler, key, type, sequence, error, attempts, at,
    coalesce(retry_at, CASE WHEN attempts = 0 THEN at END) AS retry_at,
    count(*) OVER (PARTITION BY handler, key) - 1 AS waiting,
    max(requested IS NOT NULL) OVER (PARTITION BY handler, key) AS asked,
    row_number() OVER (PARTITION BY handler, key ORDER BY sequence) AS place
  FROM marketplace_parked WHERE handler IN (SELECT value FROM json_each(?1)))
WHERE place = 1
"""

_UNREADABLE = "FROM marketplace_unreadable WHERE reader IN (SELECT value FROM json_each(?1))"

_MARK = """
INSERT INTO marketplace_inbox AS i (handler, key, sequence, parked_at, writer) VALUES (?1, ?2, ?3 - 1, ?4, ?5)
ON CONFLICT (handler, key) DO UPDATE
  SET parked_at = coalesce(i.parked_at, excluded.parked_at), writer = coalesce(nullif(excluded.writer, ''), i.writer)
  WHERE i.sequence < ?3
RETURNING sequence
"""

#: The key is free again, unless later ones wait that failed, too.
_SUPERSEDE = """
INSERT INTO marketplace_inbox AS i (handler, key, sequence, writer) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (handler, key) DO UPDATE
  SET sequence = max(i.sequence, excluded.sequence), writer = coalesce(nullif(excluded.writer, ''), i.writer),
      parked_at = CASE WHEN EXISTS (SELECT 1 FROM marketplace_parked WHERE (handler, key) = (?1, ?2)) THEN i.parked_at END
"""

_KEEP = """
INSERT INTO marketplace_parked AS p (id, handler, key, sequence, type, envelope, writer, error, attempts, at, retry_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (handler, key, sequence)
"""
_FAILED = """
DO UPDATE SET error = excluded.error, requested = NULL, retry_at = NULL, attempts = p.attempts + excluded.attempts
"""


class SqliteParking(ReleasingParking):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._told = database.told.event()

    async def wait(self, names: Sequence[str], seconds: float) -> None:
        until = time.time() + min(seconds, LOOK_SECONDS)
        rows = await self._database.fetch(f"SELECT min(retry_at) AS due FROM ({_HEADS})", json.dumps(list(names)))  # noqa: S608
        due = rows[0]["due"]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, (until if due is None else min(until, due)) - time.time())):
                await self._told.wait()
        self._told.clear()

    # ── what must wait ───────────────────────────────────────────────────────────────────────────────────────

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        await self._mark(handler, message, _FAILED, error, attempts)

    async def defer(self, handler: str, message: Message, error: str) -> None:
        await self._mark(handler, message, "DO NOTHING", error, 1, pause_after(0))

    async def _mark(
        self, handler: str, message: Message, conflict: str, error: str, attempts: int, pause: float | None = None
    ) -> None:
        """Mark the key, so that nothing of it passes, and keep the event."""
        now = time.time()

        def work(raw: sqlite3.Connection) -> None:
            place = place_in(raw, handler, message)
            if raw.execute(_MARK, (handler, place, message.sequence, now, message.writer)).fetchall():
                _keep(raw, handler, place, message, conflict, error, attempts, None if pause is None else now + pause)

        await self._database.write(work)
        self._database.told.tell()  # the loop that waits for what is due first

    async def append(self, handler: str, message: Message) -> bool:
        def work(raw: sqlite3.Connection) -> bool:
            place = place_in(raw, handler, message)
            found = "SELECT 1 FROM marketplace_inbox WHERE (handler, key) = (?, ?) AND parked_at IS NOT NULL"
            if not raw.execute(found, (handler, place)).fetchall():
                return False
            # What is there already was delivered again: it keeps its error and what a person asked for.
            _keep(raw, handler, place, message, "DO NOTHING")
            return True

        return await self._database.write(work)

    async def keep(self, group: str, message: RawMessage) -> None:
        await self._database.execute(
            "INSERT INTO marketplace_unreadable (id, reader, topic, partition, raw, error, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO NOTHING",
            id_of_unreadable(group, message),
            group,
            message.topic,
            message.partition,
            message.raw,
            message.error,
            time.time(),
        )

    # ── what waits ───────────────────────────────────────────────────────────────────────────────────────────

    async def seen(self, handler: str, event: Message | Envelope) -> int:
        def read(raw: sqlite3.Connection) -> int:
            sql = "SELECT sequence FROM marketplace_inbox WHERE (handler, key) = (?, ?)"
            rows = raw.execute(sql, (handler, place_in(raw, handler, event))).fetchall()
            return rows[0]["sequence"] if rows else 0

        return await self._database.read(read)

    async def supersede(self, handler: str, event: Envelope) -> None:
        def work(raw: sqlite3.Connection) -> None:
            place = place_in(raw, handler, event)
            gone = "DELETE FROM marketplace_parked WHERE (handler, key) = (?, ?) AND sequence <= ?"
            raw.execute(gone, (handler, place, event.sequence))
            raw.execute(_SUPERSEDE, (handler, place, event.sequence, event.writer))

        await self._database.write(work)

    async def list(self, names: Sequence[str]) -> list[Parked]:
        given = json.dumps(list(names))
        rows = await self._database.fetch(f"{_HEADS} ORDER BY handler, key", given)
        rows += await self._database.fetch(
            "SELECT id, reader AS handler, topic || ':' || partition AS key, '' AS type, 0 AS sequence, error, attempts, at,"
            f" NULL AS retry_at, 0 AS waiting {_UNREADABLE} ORDER BY at, id",
            given,
        )
        return [_parked(row) for row in rows]

    async def backlog(self, handlers: Sequence[str]) -> int:
        sql = f"SELECT count(*) FROM ({_HEADS}) WHERE retry_at IS NOT NULL"  # noqa: S608 - constants
        count: int = await self._database.value(sql, json.dumps(list(handlers)))
        return count

    async def count(self, names: Sequence[str]) -> dict[tuple[str, str], int]:
        rows = await self._database.fetch(
            "SELECT handler, CASE WHEN retry_at IS NULL THEN 'parked' ELSE 'deferred' END AS state, count(*) AS count"  # noqa: S608
            f" FROM ({_HEADS}) GROUP BY handler, state"
            f" UNION ALL SELECT reader, 'unreadable', count(*) {_UNREADABLE} GROUP BY reader",
            json.dumps(list(names)),
        )
        return {(row["handler"], row["state"]): row["count"] for row in rows}

    # ── what goes on ─────────────────────────────────────────────────────────────────────────────────────────

    async def request(self, id_: str, *, drop: bool) -> bool:
        def work(raw: sqlite3.Connection) -> bool:
            asked = ("drop" if drop else "replay", id_)
            found = 0
            for table in ("marketplace_parked", "marketplace_unreadable"):
                found += raw.execute(f"UPDATE {table} SET requested = ? WHERE id = ?", asked).rowcount  # noqa: S608
            return found > 0

        found = await self._database.write(work)
        self._database.told.tell()
        return found

    async def ready(self, handlers: Sequence[str]) -> Sequence[tuple[str, str]]:
        keys = await self._database.fetch(
            f"SELECT handler, key FROM ({_HEADS}) WHERE asked OR retry_at <= ?2 ORDER BY retry_at",  # noqa: S608 - constants
            json.dumps(list(handlers)),
            time.time(),
        )
        return [(row["handler"], row["key"]) for row in keys]

    async def head(self, handler: str, key: str) -> Head | None:
        row = await self._database.row(
            "SELECT id, key, sequence, type, envelope, writer, requested FROM marketplace_parked"
            " WHERE (handler, key) = (?, ?) ORDER BY sequence LIMIT 1",
            handler,
            key,
        )
        return Head(**row) if row else None

    async def pass_over(self, handler: str, head: Head) -> None:
        await self._database.execute(
            "UPDATE marketplace_inbox SET sequence = max(sequence, ?) WHERE (handler, key) = (?, ?)",
            head.sequence,
            handler,
            head.key,
        )

    async def forget(self, id_: str) -> None:
        await self._database.execute("DELETE FROM marketplace_parked WHERE id = ?", id_)

    async def failed_again(self, id_: str, error: str) -> None:
        await self._database.execute(
            "UPDATE marketplace_parked SET error = ?, requested = NULL, retry_at = NULL, attempts = attempts + 1 WHERE id = ?",
            error,
            id_,
        )

    async def wait_longer(self, handler: str, key: str, error: str) -> None:
        await self._database.write(lambda raw: _wait_longer(raw, handler, key, error))

    async def unpark(self, handler: str, key: str) -> bool:
        return await self._database.write(lambda raw: _unpark(raw, handler, key))

    async def requested(self, groups: Sequence[str]) -> Sequence[Kept]:
        rows = await self._database.fetch(
            f"SELECT id, reader, topic, partition, raw, error, requested {_UNREADABLE} AND requested IS NOT NULL"
            " ORDER BY at, id LIMIT 100",
            json.dumps(list(groups)),
        )
        return [Kept(**row) for row in rows]

    async def still_unreadable(self, id_: str, error: str) -> None:
        await self._database.execute(
            "UPDATE marketplace_unreadable SET requested = NULL, attempts = attempts + 1, error = ? WHERE id = ?", error, id_
        )

    async def forget_unreadable(self, id_: str) -> None:
        await self._database.execute("DELETE FROM marketplace_unreadable WHERE id = ?", id_)


# ── within a transaction ─────────────────────────────────────────────────────────────────────────────────────


def _keep(
    raw: sqlite3.Connection,
    handler: str,
    place: str,
    message: Message,
    conflict: str,
    error: str = "",
    attempts: int = 0,
    retry_at: float | None = None,
) -> None:
    event = (message.sequence, message.type, message.envelope, message.writer)
    raw.execute(_KEEP + conflict, (id_of(handler, message), handler, place, *event, error, attempts, time.time(), retry_at))


def _wait_longer(raw: sqlite3.Connection, handler: str, key: str, error: str) -> None:
    """What a person asked for stays so, and is tried again in the next round."""
    rows = raw.execute(
        "SELECT id, attempts, requested FROM marketplace_parked WHERE (handler, key) = (?, ?) ORDER BY sequence LIMIT 1",
        (handler, key),
    ).fetchall()
    for row in rows:
        if row["requested"] is None:
            pause = pause_after(row["attempts"])
            raw.execute(
                "UPDATE marketplace_parked SET attempts = attempts + 1, error = ?, retry_at = ? WHERE id = ?",
                (error, time.time() + pause, row["id"]),
            )


def _unpark(raw: sqlite3.Connection, handler: str, key: str) -> bool:
    if raw.execute("SELECT 1 FROM marketplace_parked WHERE (handler, key) = (?, ?) LIMIT 1", (handler, key)).fetchall():
        return False
    raw.execute("UPDATE marketplace_inbox SET parked_at = NULL WHERE (handler, key) = (?, ?)", (handler, key))
    return True


# ── rows and messages ────────────────────────────────────────────────────────────────────────────────────────


def _parked(row: Row) -> Parked:
    names = ("id", "handler", "key", "type", "sequence", "error", "attempts", "waiting")
    retry_at = None if row["retry_at"] is None else datetime.fromtimestamp(row["retry_at"], UTC)
    return Parked(**{name: row[name] for name in names}, at=datetime.fromtimestamp(row["at"], UTC), retry_at=retry_at)
