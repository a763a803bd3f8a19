"""A later release tells more of an event: its table grows, and what stood there before is still read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from marketplace_analytics.config import AnalyticsConfig
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.stores.clickhouse import ClickHouseStore
from msgspec import Struct

from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.events import EVENTS, Event, event
from marketplace_core.values import Money, SystemClock
from plugins.analytics.tests.samples import envelope


class Part(Struct, frozen=True, kw_only=True):
    sku: str


class NewPart(Struct, frozen=True, kw_only=True):
    sku: str
    colour: str = "grey"


@pytest.fixture
def thing() -> Iterator[str]:
    yield "growth.happened"
    EVENTS.pop("growth.happened", None)


def first(type_: str) -> None:
    @event(type_, key="thing")
    class Happened(Event, frozen=True, kw_only=True):
        thing: str
        part: Part
        price: Money


def second(type_: str) -> None:
    """With more: a number, a list, what may be absent, and a field within a field."""
    del EVENTS[type_]

    @event(type_, key="thing", version=2)
    class Happened(Event, frozen=True, kw_only=True):
        thing: str
        part: NewPart
        price: Money
        count: int = 0
        tags: tuple[str, ...] = ()
        weight: float | None = None


def restarted(chdb: ClickHouse) -> AnalyticsService:
    return AnalyticsService(ClickHouseStore(chdb), SystemClock(), b"key", "EUR", AnalyticsConfig())


async def test_a_table_grows_with_its_event_and_old_rows_stay(chdb: ClickHouse, thing: str) -> None:
    price = Money(100, "EUR")
    first(thing)
    old = envelope(thing, {"thing": "a", "part": {"sku": "A1"}, "price": price})
    await restarted(chdb).take([old])
    second(thing)
    more = {"count": 7, "tags": ["x"], "weight": 1.5}
    new = envelope(thing, {"thing": "b", "part": {"sku": "B1", "colour": "red"}, "price": price, **more})
    service = restarted(chdb)
    await service.take([new, old])  # the old one comes again, as of a sender that is not yet of this release
    rows = await chdb.query(
        "SELECT thing, part.sku AS sku, part.colour AS colour, price.amount AS amount, count, tags, weight, _version"
        " FROM growth_happened ORDER BY thing SETTINGS final = 1"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("a", "A1", rows[0]["colour"], 100, 0, [], None, 1),
        ("b", "B1", "red", 100, 7, ["x"], 1.5, 2),
    ]
    assert rows[0]["colour"] in ("", "grey")  # as it stood, or as it came again
    assert not await chdb.query("SELECT id FROM _unread WHERE type = {type:String}", {"type": thing})


async def test_a_release_that_came_back_keeps_what_it_knows_in_the_grown_table(chdb: ClickHouse, thing: str) -> None:
    price = Money(1, "EUR")
    first(thing)
    second(thing)
    await restarted(chdb).take([envelope(thing, {"thing": "c", "part": {"sku": "C1", "colour": "red"}, "price": price})])
    del EVENTS[thing]
    first(thing)
    await restarted(chdb).take([envelope(thing, {"thing": "d", "part": {"sku": "D1"}, "price": price})])
    rows = await chdb.query("SELECT part.sku AS sku, part.colour AS colour FROM growth_happened WHERE thing = 'd'")
    assert [tuple(row.values()) for row in rows] == [("D1", "")]
