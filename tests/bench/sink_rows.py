"""Five million events in ClickHouse, made there: tables as the plugin has them, and rows of the shape of a year's events.

An order is placed, confirmed, paid, shipped, delivered; some are cancelled or come back. One event in a hundred stands there
twice, as after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator

from marketplace_analytics.stores import schema
from marketplace_analytics.stores.clickhouse import ClickHouseStore

from marketplace_core.adapters.clickhouse.server import ClickHouse

__all__ = ["EVENTS_IN_ALL", "FIRST", "LAST", "SELLER", "fill"]

EVENTS_IN_ALL = 5_000_000
FIRST, LAST = "2025-01-01", "2025-12-31"
#: So many rows of one insert: each is a part, as it is when events come.
BLOCK = 100_000


def _id(kind: int, number: str) -> str:
    """An id's text: of an aggregate of some kind, by its number."""
    return f"concat('01920000-0000-7000-{kind:04x}-', leftPad(lower(hex(toUInt64({number}))), 12, '0'))"


def _person(number: str) -> str:
    return f"lower(hex(sipHash128({number} % 100000)))"


def _money(amount: str) -> str:
    return f"tuple({amount}, 'EUR')"


#: Orders ``n`` come in turn through the year; 2,000 shops, 20,000 products, each with three variants.
_SHOP, _ORDER, _PACKAGE = _id(1, "n % 2000"), _id(2, "n"), _id(3, "n")
SELLER = "01920000-0000-7000-0001-" + "7".zfill(12)
_PRICE = "(500 + cityHash64(n) % 20000)"
_LINES = (
    f"arrayMap(i -> tuple({_id(4, 'n * 4 + i')}, {_id(5, 'cityHash64(n, i) % 60000')}, {_id(6, 'cityHash64(n, i) % 20000')},"
    f" {_SHOP}, 1 + cityHash64(n, i) % 3, {_money(_PRICE)}, {_money(f'{_PRICE} * (1 + cityHash64(n, i) % 3)')}),"
    " range(1 + n % 3))"
)
_SUM = f"({_PRICE} * 2)"
_CARD = f"'simulator', 'captured', {_money(_SUM)}, {_money(_SUM)}, {_money('0')}"
_REGION = "concat('R', toString(cityHash64(n) % 27))"

#: By type of event: how many, the moment in seconds after the first, and its columns.
_ROWS: dict[str, tuple[int, str, dict[str, str]]] = {
    "recommendations.signals_given": (
        2_000_000,
        "0",
        {
            "entrance": _id(9, "n % 4"),
            "person": f"if(n % 10 = 0, NULL, {_person('n')})",
            "signals": "arrayMap(i -> tuple(if(i = 0, 'view', 'impression'),"
            f" {_id(6, 'cityHash64(n, i) % 20000')}, 'feed', _at), range(1 + n % 4))",
        },
    ),
    "cart.item_added": (
        800_000,
        "0",
        {"cart_id": _id(7, "n / 2"), "variant_id": _id(5, "cityHash64(n) % 60000"), "quantity": "1", "total": "1 + n % 2"},
    ),
    "orders.placed": (
        400_000,
        "0",
        {
            "order_id": _ORDER,
            "account_id": _person("n"),
            "total": _money(_SUM),
            "reservation": _id(8, "n"),
            "lines": _LINES,
            "cart_id": _person("n + 7"),
        },
    ),
    "orders.confirmed": (
        350_000,
        "2",
        {
            "order_id": _ORDER,
            "number": "toString(n)",
            "account_id": f"if(n % 5 = 0, NULL, {_person('n')})",
            "total": _money(_SUM),
            "lines": _LINES,
            "packages": f"[tuple({_PACKAGE}, {_SHOP}, {_money(_PRICE)}, {_money('n % 100')}, {_money('499')}, {_money(_SUM)})]",
            "country": "'BR'",
            "region": _REGION,
        },
    ),
    "payments.changed": (
        400_000,
        "2",
        {"order_id": _ORDER, "payment": f"tuple({_id(10, 'n')}, {_CARD}, tuple(NULL, NULL))"},
    ),
    "orders.package_shipped": (
        350_000,
        "86400",
        {
            "order_id": _ORDER,
            "package_id": _PACKAGE,
            "shipment_id": _id(11, "n"),
            "seller_id": _SHOP,
            "lines": _LINES,
            "amount": _money(_SUM),
            "commission": _money(f"intDiv({_SUM}, 10)"),
            "promised": "toString(toDate(_at) + 4)",
        },
    ),
    "orders.package_delivered": (
        300_000,
        "86400 * (3 + cityHash64(n) % 4)",
        {"order_id": _ORDER, "package_id": _PACKAGE, "seller_id": _SHOP},
    ),
    "reviews.changed": (
        200_000,
        "0",
        {
            "review_id": _id(12, "n / 2"),
            "product_id": _id(6, "cityHash64(n / 2) % 20000"),
            "seller_id": _id(1, "intDiv(n, 2) % 2000"),
            "account_id": _person("n / 2"),
            "rating": "if(n % 2 = 0, NULL, 1 + cityHash64(n) % 5)",
            "status": "if(n % 2 = 0, 'pending', 'published')",
            "version_number": "1",
        },
    ),
    "search.counted": (
        50_000,
        "0",
        {
            "entrance": _id(9, "n % 4"),
            "words": "arrayMap(i -> tuple(concat('query ', toString(cityHash64(n, i) % 5000)), 1 + i, toInt64(i = 9),"
            " 40 + i, toInt64(i < 3)), range(10))",
        },
    ),
    "moderation.submitted": (
        50_000,
        "0",
        {"subject": "concat('review/', toString(n))", "content": "tuple('review', toString(n), 1)", "cause": "'new'"},
    ),
    "moderation.decided": (
        45_000,
        "600 + cityHash64(n) % 86400",
        {
            "subject": "concat('review/', toString(n))",
            "content": "tuple('review', toString(n), 1)",
            "approved": "n % 9 != 0",
            "by": "if(n % 3 = 0, 'moderator', 'checks')",
        },
    ),
    "orders.items_cancelled": (
        20_000,
        "3600",
        {
            "order_id": _id(2, "n * 17"),
            "package_id": _id(3, "n * 17"),
            "seller_id": _id(1, "n * 17 % 2000"),
            "lines": _LINES,
            "amount": _money(_PRICE),
        },
    ),
    "orders.items_returned": (
        15_000,
        "86400 * 12",
        {
            "order_id": _id(2, "n * 23"),
            "package_id": _id(3, "n * 23"),
            "seller_id": _id(1, "n * 23 % 2000"),
            "lines": _LINES,
            "reason": "['size', 'broken', 'wrong', 'undelivered'][1 + n % 4]",
            "refund": _money(_PRICE),
        },
    ),
    "catalog.product_changed": (
        20_000,
        "0",
        {"product_id": _id(6, "n"), "seller_id": _SHOP, "status": "'published'"},
    ),
}


async def fill(client: ClickHouse, share: float = 1.0) -> int:
    """So many of the five million are there once this returns; that many are given."""
    store, events = ClickHouseStore(client), 0
    await store._make(_ROWS)
    for number, (type_, (whole, after, columns)) in enumerate(_ROWS.items()):
        count = int(whole * share)
        for statement in _statements(type_, number, count, after, columns):
            await client.command(statement)
        events += count
    return events


def _statements(type_: str, number: int, count: int, after: str, columns: dict[str, str]) -> Iterator[str]:
    every = 31_536_000_000 / count
    envelope = {
        "_at": f"toDateTime64('{FIRST} 00:00:00', 3, 'UTC') + toIntervalMillisecond(toInt64(n * {every} + 1000 * ({after})))",
        "_id": f"toUUID({_id(0x8000 + number, 'n')})",
        "_origin": "'api'",
        "_version": "1",
        "_sequence": "1 + n % 2",
    }
    selected = ", ".join(f"{made} AS {name}" for name, made in {**envelope, **columns}.items())
    names = ", ".join(f"`{name}`" for name in {**envelope, **columns})
    blocks = [(begin, min(BLOCK, count - begin)) for begin in range(0, count, BLOCK)]
    for begin, rows in [*blocks, (0, count // 100)]:
        yield (
            f"INSERT INTO {schema.table_of(type_)} ({names}) SELECT {selected}"  # noqa: S608 - names out of the catalogue
            f" FROM (SELECT toInt64(number) AS n FROM numbers({begin}, {rows}))"
        )
