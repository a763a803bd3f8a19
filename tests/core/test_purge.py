"""What core keeps of commands and events in each database goes once nobody can ask for it any more.

By the database's own clock: that is housekeeping, and what counts is decided when it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres import outbox as module
from marketplace_core.adapters.postgres.outbox import PURGE_ANSWERS, PURGE_SENT, PostgresOutbox
from marketplace_core.testing.plans import read_whole

MANY = 20_000
TABLES = ("idempotency", "outbox")

_ANSWERS = """
INSERT INTO marketplace.idempotency (scope, method, key, digest, refused, body, created_at)
SELECT 'a', 'm', $1 || n, '', false, '', now() - $2::text::interval FROM generate_series(1, $3::int) AS n
"""
_SENT = """
INSERT INTO marketplace.outbox (kind, topic, type, key, lane, event_id, payload, created_at, relayed_at)
SELECT 'event', 't', 't', $1 || n, 0, $1 || n, '', now() - $2::text::interval, now() - $3::text::interval
FROM generate_series(1, $4::int) AS n
"""


@pytest.fixture
async def database(database_factory: Callable[[Sequence[str]], Awaitable[Database]]) -> Database:
    return await database_factory([])


async def kept(database: Database, table: str) -> list[str]:
    rows = await database.fetch(f"SELECT key FROM marketplace.{table} ORDER BY key")  # noqa: S608 - constants
    return [row["key"] for row in rows]


async def test_old_answers_and_sent_events_are_deleted(database: Database) -> None:
    for name, age in (("young", "47 hours"), ("old", "49 hours")):
        await database.execute(_ANSWERS, name, age, 1)
    for name, age in (("young", "6 days"), ("old", "8 days"), ("waits", None)):
        await database.execute(_SENT, name, "9 days", age, 1)
    await PostgresOutbox(database).purge()
    assert await kept(database, "idempotency") == ["young1"]
    assert await kept(database, "outbox") == ["waits1", "young1"]


async def test_a_purge_takes_some_at_a_time_until_it_is_done(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what comes behind that which waits, as long as that may take."""
    monkeypatch.setattr(module, "PURGE_BATCH", 10)
    await database.execute(_SENT, "waits", "9 days", None, 25)
    await database.execute(_SENT, "old", "9 days", "8 days", 35)
    await database.execute(_SENT, "young", "9 days", "6 days", 5)
    await database.execute(_SENT, "old", "9 days", "8 days", 5)
    await database.execute(_SENT, "fresh", "0 days", "0 days", 25)
    await database.execute(_ANSWERS, "old", "49 hours", 30)
    await database.execute(_ANSWERS, "young", "1 hour", 5)
    statements: list[str] = []
    value = Database.value

    async def counted(self: Database, statement: str, *parameters: Any) -> Any:
        statements.append(statement)
        return await value(self, statement, *parameters)

    monkeypatch.setattr(Database, "value", counted)
    await PostgresOutbox(database).purge()
    assert (statements.count(PURGE_SENT), statements.count(PURGE_ANSWERS)) == (8, 4)  # it ends at the first that is too young
    assert [key for table in TABLES for key in await kept(database, table) if key.startswith("old")] == []
    assert (len(await kept(database, "outbox")), len(await kept(database, "idempotency"))) == (55, 5)


async def test_two_purge_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker of a database does."""
    monkeypatch.setattr(module, "PURGE_BATCH", 20)
    await database.execute(_SENT, "old", "9 days", "8 days", 400)
    await database.execute(_ANSWERS, "old", "49 hours", 400)
    await asyncio.gather(*(PostgresOutbox(database).purge() for _ in range(4)))
    assert [await kept(database, table) for table in TABLES] == [[], []]


async def test_a_purge_reads_no_more_than_it_deletes(database: Database) -> None:
    await database.execute(_ANSWERS, "young", "1 hour", MANY)
    await database.execute(_SENT, "young", "1 hour", "1 hour", MANY)
    await database.execute("ANALYZE marketplace.idempotency, marketplace.outbox")
    assert await read_whole(database, PURGE_SENT, 0, 1000) == []
    assert await read_whole(database, PURGE_ANSWERS, 1000) == []
    assert await read_whole(database, "DELETE FROM marketplace.outbox WHERE relayed_at < now() - interval '7 days'") != []
