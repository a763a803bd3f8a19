"""Deleting what is old, where much is there and nothing of it is old: it runs beside everything else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from figures import Bench, Line, figure
from marketplace_catalog.stores.postgres_stock import FORGET_COMMITTED, FORGET_GIVEN_BACK
from marketplace_logistics.stores.postgres import PURGE_WEBHOOKS as PURGE_CARRIERS
from marketplace_payments.stores.postgres import PURGE_WEBHOOKS as PURGE_GATEWAYS

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.values import SystemClock

ROWS = 1_000_000
#: Rows of one statement: progress is shown between them.
BATCH = 100_000
AT_ONCE = 1_000

#: By table, rows that are no older than a minute. $1: from which number, $2: to which.
_ROWS = {
    "marketplace.outbox": "INSERT INTO marketplace.outbox (kind, topic, type, key, lane, event_id, payload, relayed_at)"
    " SELECT 'event', 'orders', 'orders.confirmed', n, n % 16, 'event-' || n, repeat('e', 300), now()",
    "marketplace.idempotency": "INSERT INTO marketplace.idempotency (scope, method, key, digest, refused, body)"
    " SELECT 'a', 'm', n, 'd', false, repeat('b', 100)",
    "payments.webhooks": "INSERT INTO payments.webhooks (gateway, id, event, body, state, at)"
    " SELECT 'bench', n, '{}', repeat('b', 200), 'applied', now()",
    "logistics.webhooks": "INSERT INTO logistics.webhooks (carrier, id, state, body, received_at)"
    " SELECT 'bench', n, 'applied', repeat('b', 200)::bytea, now()",
    "catalog.reservations": "INSERT INTO catalog.reservations (key, status, lines, expires_at, created_at, ended_at)"
    " SELECT n, (ARRAY['committed', 'released'])[1 + n % 2], '[]', now(), now(), now()",
}


@figure("purge")
async def purge(bench: Bench) -> list[Line]:
    """Every purge with 1,000,000 rows in its table and none to delete."""
    rows = ROWS // 10 if bench.quick else ROWS
    async with bench.started() as market:
        database = market.database()
        for table, insert in _ROWS.items():
            await _fill(bench, database, table, insert, rows)
        before = SystemClock().now() - timedelta(days=30)
        purges: dict[str, Callable[[], Awaitable[object]]] = {
            "sent events and answers": PostgresOutbox(database).purge,
            "webhooks of payments": _statement(database, before, PURGE_GATEWAYS),
            "webhooks of carriers": _statement(database, before, PURGE_CARRIERS),
            "reservations": _statement(database, before, FORGET_COMMITTED, FORGET_GIVEN_BACK),
        }
        lines = [
            Line(
                name=f"purging {name}",
                unit="ms",
                ours=[await _timed(act) for _ in range(bench.runs)],
                at_most=20.0,
                note=f"{rows:,} rows in the table, none to delete",
            )
            for name, act in purges.items()
        ]
        await database.execute(f"TRUNCATE {', '.join(_ROWS)}")
        await database.close()
    return lines


async def _fill(bench: Bench, database: Database, table: str, insert: str, rows: int) -> None:
    for begin in range(0, rows, BATCH):
        await database.execute(f"{insert} FROM generate_series($1::int, $2::int) AS n", begin, begin + BATCH - 1)
    await database.execute(f"ANALYZE {table}")
    bench.say(f"{rows:,} rows in {table}")


def _statement(database: Database, before: datetime, *statements: str) -> Callable[[], Awaitable[object]]:
    async def run() -> None:
        for statement in statements:
            await database.execute(statement, before, AT_ONCE)

    return run


async def _timed(act: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await act()
    return 1000 * (time.perf_counter() - began)
