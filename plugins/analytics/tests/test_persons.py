"""Nothing that is personal stands in the store, whatever comes; and whose it is can be taken out again."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.worker import SINKS
from msgspec import Struct

from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.events import EVENTS, PERSON, PERSONAL
from plugins.analytics.tests.samples import SECRET, SOMEBODY, TYPES, envelope, samples

#: What a field is called that tells of a person, if it is a text or holds some.
TELLING = {
    *("account_id", "author_id", "buyer_id", "cart_id", "guest_cart_id", "person"),
    *("address", "email", "phone", "author", "note", "snapshot", "text", "token", "tracking_number", "tracking_token"),
}


async def kept(chdb: ClickHouse) -> dict[str, str]:
    """All that stands in the store, by table."""
    tables = await chdb.query("SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows > 0")
    return {row["name"]: repr(await chdb.query("SELECT * FROM {table:Identifier}", {"table": row["name"]})) for row in tables}


async def test_nothing_personal_is_kept_of_any_event(service: AnalyticsService, chdb: ClickHouse) -> None:
    """By the plugin's sink, of one event of each type; then its person is forgotten."""
    [sink] = SINKS
    events = samples()
    told = [repr(data) for data in events.values()]
    await sink.method(service, [envelope(type_, data) for type_, data in events.items()])
    found = await kept(chdb)
    assert {type_.replace(".", "_") for type_ in events} <= found.keys()
    assert "_unread" not in found
    assert sum(SECRET in each for each in told) >= 12 and sum(SOMEBODY in each for each in told) >= 15
    assert [table for table, rows in found.items() if SECRET in rows or SOMEBODY in rows] == []
    mark = service._keeper.mark(SOMEBODY)
    assert sum(mark in rows for rows in found.values()) >= 15
    await service.forget(SOMEBODY)
    assert [table for table, rows in (await kept(chdb)).items() if mark in rows and table != "_forgotten"] == []


def marks(kind: Any, inside: bool = False) -> list[tuple[Any, bool]]:
    """The structs within a type, and whether what holds them is personal."""
    arguments = get_args(kind)
    inside = inside or PERSONAL in arguments
    if isinstance(kind, type) and issubclass(kind, Struct):
        return [(kind, inside)]
    return [found for argument in arguments for found in marks(argument, inside)]


@pytest.mark.parametrize("type_", TYPES)
def test_a_field_that_tells_of_a_person_says_so(type_: str) -> None:
    unmarked, waiting = [], [(EVENTS[type_], False)]
    while waiting:
        cls, inside = waiting.pop()
        for field in msgspec.structs.fields(cls):
            marked = any(mark in repr(field.type) for mark in (repr(PERSON), repr(PERSONAL)))
            if field.name in TELLING and not marked and not inside:
                unmarked.append(f"{cls.__name__}.{field.name}")
            waiting += marks(field.type, inside)
    assert unmarked == []
