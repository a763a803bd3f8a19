"""What core keeps of commands and events in each database goes once nobody can ask for it any more.

By the database's own clock: that is housekeeping, and what counts is decided when it is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.outbox import PostgresOutbox


async def test_old_answers_and_sent_events_are_deleted(
    database_factory: Callable[[Sequence[str]], Awaitable[Database]],
) -> None:
    database = await database_factory([])
    for name, age in (("young", "47 hours"), ("old", "49 hours")):
        await database.execute(
            "INSERT INTO marketplace.idempotency (scope, method, key, digest, refused, body, created_at)"
            " VALUES ('a', 'm', $1, '', false, '', now() - $2::text::interval)",
            name,
            age,
        )
    for name, age in (("young", "6 days"), ("old", "8 days"), ("waits", None)):
        await database.execute(
            "INSERT INTO marketplace.outbox (kind, topic, type, key, lane, event_id, payload, created_at, relayed_at)"
            " VALUES ('event', 't', 't', $1, 0, $1, '', now() - interval '9 days', now() - $2::text::interval)",
            name,
            age,
        )
    await PostgresOutbox(database).purge()
    for table, kept in (("idempotency", ["young"]), ("outbox", ["waits", "young"])):
        rows = await database.fetch(f"SELECT key FROM marketplace.{table} ORDER BY key")  # noqa: S608 - constants
        assert [row["key"] for row in rows] == kept
