"""What every store of logistics guarantees by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from marketplace_logistics import plugin
from marketplace_logistics.domain import Shipment, TrackingEvent, take
from marketplace_logistics.store import LogisticsStore
from marketplace_logistics.stores.postgres import PostgresLogisticsStore

from marketplace_core.adapters.postgres import Database, UniqueViolation
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.capabilities.logistics import ShipmentQuery
from marketplace_core.values import SystemClock, new_id

START = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Kept:
    """A store, and units of work on it."""

    def __init__(self, database: Database) -> None:
        self.store: LogisticsStore = PostgresLogisticsStore(database)
        self.units = PostgresUnits(database, SystemClock(), "logistics")

    async def run(self, method: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await self.units.run(lambda uow: method(uow, *args))


@pytest_asyncio.fixture(params=["postgres"])
async def kept(database_factory: Callable[[Sequence[str]], Awaitable[Database]]) -> Kept:
    scripts = [migration.script for migration in plugin.migrations()]
    return Kept(await database_factory(["CREATE SCHEMA logistics;", *scripts]))


def _shipment(**changes: Any) -> Shipment:
    fields: dict[str, Any] = {
        "id": new_id(),
        "order_id": "o",
        "package_id": "p",
        "seller_id": "seller",
        "carrier": "simulator",
        "service": "standard",
        "own": False,
        "tracking_number": None,
        "tracking_token": new_id(),
        "items": {"a": 1, "b": 2},
        "origin_country": "DE",
        "address": {"name": "Ada"},
        "weight_g": 500,
        "created_at": START,
        "updated_at": START,
    }
    return Shipment(**(fields | changes))


async def test_a_shipment_is_read_as_it_was_written(kept: Kept) -> None:
    record = _shipment()
    inserted = await asyncio.gather(*(kept.run(kept.store.insert, record) for _ in range(5)))
    assert sorted(inserted) == [False] * 4 + [True]
    assert await kept.store.get(record.id) == record
    assert await kept.store.get_by_token(record.tracking_token) == record
    assert await kept.store.get("nothing") is await kept.store.get_by_token("nothing") is None
    record.tracking_number, record.estimated_delivery, record.carrier = "T1", "2026-01-05", "other"
    later = TrackingEvent("out_for_delivery", None, START + timedelta(hours=1))
    ahead = TrackingEvent("exception", None, START + timedelta(days=27_000))
    for events in ([later], [TrackingEvent("in_transit", "Berlin", START)], [ahead]):
        new = take(record, events, START + timedelta(hours=2))
        await kept.run(kept.store.save, record, new, "test")
    assert await kept.run(kept.store.lock, record.id) == record and record.events[-1].told_at
    assert await kept.run(kept.store.lock_tracked, "other", "T1") == record
    assert await kept.run(kept.store.lock_tracked, "simulator", "T1") is None


async def test_an_event_is_kept_once(kept: Kept) -> None:
    record = _shipment()
    await kept.run(kept.store.insert, record)
    for _ in range(2):
        for location in (None, "Berlin"):
            await kept.run(kept.store.save, record, [TrackingEvent("in_transit", location, START)], "test")
    found = await kept.store.get(record.id)
    assert found is not None
    assert [event.location for event in found.events] == [None, "Berlin"]


async def test_a_carriers_number_is_one_parcels(kept: Kept) -> None:
    await kept.run(kept.store.insert, _shipment(tracking_number="T1"))
    await kept.run(kept.store.insert, _shipment(tracking_number="T1", carrier="other"))
    await kept.run(kept.store.insert, _shipment(tracking_number="T1", own=True))
    assert await kept.run(kept.store.is_tracked, "simulator", "T1")
    assert not await kept.run(kept.store.is_tracked, "simulator", "T2")
    with pytest.raises(UniqueViolation):
        await kept.run(kept.store.insert, _shipment(tracking_number="T1"))


async def test_what_is_under_way_takes_turns(kept: Kept) -> None:
    ways = ("pending", "label_created", "in_transit", "out_for_delivery", "exception", "delivered", "returned")
    records = [_shipment(status=status, tracking_number=f"T-{status}") for status in ways]
    for record in [*records, _shipment(status="in_transit", own=True), _shipment(status="exception")]:
        await kept.run(kept.store.insert, record)
    expected = [record.id for record in records[1:5]]
    assert sorted(id_ for id_, _, _ in await kept.store.under_way(10)) == sorted(expected)
    await kept.store.polled([expected[0]], START)
    await kept.store.polled([expected[1]], START - timedelta(hours=1))
    assert [id_ for id_, _, _ in await kept.store.under_way(10)][2:] == [expected[1], expected[0]]
    assert len(await kept.store.under_way(1)) == 1


async def test_shipments_of_one_moment_come_once_each(kept: Kept) -> None:
    records = [_shipment() for _ in range(5)]
    for record in records:
        await kept.run(kept.store.insert, record)
    seen, cursor = [], None
    while True:
        query = ShipmentQuery(limit=2, cursor=cursor)
        rows = await kept.store.list_of_carrier("simulator", query, query.position(datetime, str))
        page = query.page(rows, lambda record: (record.created_at, record.id))
        seen += [record.id for record in page.items]
        if (cursor := page.next) is None:
            break
    assert seen == [record.id for record in records][::-1]
