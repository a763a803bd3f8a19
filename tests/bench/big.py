"""The same with tables as a large shop has them after years: what a checkout and a buyer's list of orders cost then."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from checkout import confirmed
from figures import Bench, Line, figure
from market import Market

from marketplace_core.adapters.postgres import Database
from marketplace_core.testing.client import Client, clients

ORDERS, EVENTS = 1_000_000, 5_000_000
FEW = 1_000
#: Rows of one statement: progress is shown between them.
BATCH = 100_000
PEOPLE = 100_000
LISTS = 200
PASSWORD = "correct horse battery"

#: Copies of an order that was made by the marketplace, each another person's, at another time. $1: how many, $2: from which
_ORDERS = """
WITH sample AS MATERIALIZED (SELECT * FROM orders.orders WHERE status = 'confirmed' ORDER BY id DESC LIMIT 1),
made AS (
  INSERT INTO orders.orders (id, account_id, email, status, number, document, created_at, updated_at)
  SELECT 'copy-' || n, 'person-' || n % $3, 'person-' || n % $3 || '@example.org', s.status, 'copy-' || n,
    s.document || jsonb_build_object('id', 'copy-' || n, 'number', 'copy-' || n, 'account_id', 'person-' || n % $3),
    s.created_at - n * interval '30 seconds', s.updated_at - n * interval '30 seconds'
  FROM sample s, generate_series($2::bigint, $2::bigint + $1::bigint - 1) AS n
  RETURNING id, created_at, updated_at)
INSERT INTO orders.packages (id, order_id, seller_id, status, created_at, updated_at)
SELECT m.id || '-package', m.id, p.seller_id, p.status, m.created_at, m.updated_at
FROM made m, (SELECT p.* FROM orders.packages p JOIN sample s ON s.id = p.order_id LIMIT 1) AS p
"""

#: Events that were sent and are kept for a while, and how far each handler and aggregate is.
_EVENTS = """
WITH made AS (
  INSERT INTO marketplace.outbox (kind, topic, type, key, lane, sequence, event_id, payload, created_at, relayed_at)
  SELECT 'event', 'orders', 'orders.confirmed', 'copy-' || n, n % 16, 1, 'event-' || n, repeat('e', 300), now(), now()
  FROM generate_series($2::bigint, $2::bigint + $1::bigint - 1) AS n RETURNING key),
counted AS (
  INSERT INTO marketplace.aggregates (topic, key, sequence) SELECT 'orders', key, 1 FROM made ON CONFLICT DO NOTHING)
INSERT INTO marketplace.inbox (handler, key, sequence) SELECT 'orders.on_payment_changed', key, 1 FROM made
ON CONFLICT DO NOTHING
"""


@figure("big")
async def big(bench: Bench) -> list[Line]:
    """A checkout and a buyer's list with 1,000,000 orders and 5,000,000 events; the floor is the same with 1,000."""
    rounds = 40 if bench.quick else 200
    orders, events = (ORDERS // 20, EVENTS // 20) if bench.quick else (ORDERS, EVENTS)
    async with bench.started() as market:
        await confirmed(market.audiences, 8)
        database = market.database()
        await _fill(bench, database, _ORDERS, "orders", FEW, 0, PEOPLE)
        await _fill(bench, database, _EVENTS, "events", FEW, 0)
        few = [(await confirmed(market.audiences, rounds))[0] for _ in range(bench.runs)]
        await _fill(bench, database, _ORDERS, "orders", orders - FEW, FEW, PEOPLE)
        await _fill(bench, database, _EVENTS, "events", events - FEW, FEW)
        await database.execute("ANALYZE orders.orders, orders.packages, marketplace.outbox, marketplace.inbox")
        await database.execute("CHECKPOINT")
        many = [(await confirmed(market.audiences, rounds))[0] for _ in range(bench.runs)]
        listed = await _lists(market, database)
        await database.close()
    beside = f"{orders:,} orders and {events:,} events, against {FEW:,} of each"
    return [
        Line(
            name="a checkout's time, large tables",
            unit="s",
            ours=[1 / rate for rate in many],
            floor=[1 / rate for rate in few],
            at_most=1.3,
            note=beside,
        ),
        Line(
            name="a buyer's list of orders",
            unit="ms",
            ours=listed,
            at_most=5.0,
            note="GET /orders of one with ten, one at a time",
        ),
    ]


async def _fill(bench: Bench, database: Database, sql: str, what: str, count: int, first: int, *more: int) -> None:
    for begin in range(first, first + count, BATCH):
        size = min(BATCH, first + count - begin)
        await database.execute(sql, size, begin, *more)
        bench.say(f"{begin + size:,} {what}")


async def _lists(market: Market, database: Database) -> list[float]:
    """Milliseconds of a page of a person who has ten orders among all the others', median of each run."""
    async with clients(market.audiences) as make:
        buyer = make("buyer")
        account = (await buyer.register(f"{time.time_ns()}@example.org", PASSWORD))["user"]["id"]
        await database.execute(
            "UPDATE orders.orders SET account_id = $1 WHERE account_id = 'person-7' OR id IN"
            " (SELECT id FROM orders.orders WHERE account_id = 'person-8' LIMIT 10)",
            account,
        )
        await _timed(buyer)
        return [await _timed(buyer) for _ in range(5)]


async def _timed(buyer: Client) -> float:
    return await _median(lambda: buyer.get("/orders"), LISTS)


async def _median(act: Callable[[], Awaitable[object]], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await act()
        taken.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(0)
    return statistics.median(taken)
