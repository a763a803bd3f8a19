"""Placing an order: one reservation, one transaction, whatever fails or comes twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from marketplace_orders.stores.postgres import PostgresOrderStore
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.catalog import LineRequest, StockRow
from marketplace_core.capabilities.orders import PaymentMethod, PlaceOrder
from marketplace_core.errors import Conflict, Invalid, MarketplaceError, Refused, Unavailable
from marketplace_core.testing.contracts.orders import PRICE, draft
from marketplace_core.values import Caller, Money


@pytest.mark.behaviour("cart-4", "cart-7", "orders-2")
async def test_from_placed_to_confirmed(working: Any) -> None:
    variants = await working.stock(2)
    placed = await working.place(variants, units=3)
    assert await working.available(variants) == [17, 17]
    await working.market.settle()
    order = await working.now(placed)
    assert (order.status, order.number, len(order.packages)) == ("confirmed", "000001", 1)
    assert order.packages[0].number == "000001-1"
    assert await working.types() == ["orders.placed", "orders.confirmed"]
    rows = await working.database.fetch("SELECT on_hand, reserved, allocated FROM catalog.variants")
    assert [tuple(row.values()) for row in rows] == [(20, 0, 3), (20, 0, 3)]


@pytest.mark.behaviour("all-1", "cart-4")
async def test_twenty_equal_orders_at_once_are_one(working: Any) -> None:
    variants = await working.stock()

    async def once() -> Any:
        while True:
            try:
                return await working.place(variants, key="one")
            except Conflict as error:
                assert error.code == "idempotency.in_flight"
                await asyncio.sleep(0.02)

    placed = await asyncio.gather(*(once() for _ in range(20)))
    assert len({(order.id, order.token) for order in placed}) == 1
    await working.market.settle()
    assert (await working.now(placed[0])).status == "confirmed"
    assert await working.available(variants) == [19]
    assert await working.database.value("SELECT count(*) FROM catalog.reservations") == 1
    assert await working.database.value("SELECT count(*) FROM orders.orders") == 1


@pytest.mark.behaviour("catalog-3", "cart-4")
@pytest.mark.timeout(120)
async def test_two_hundred_buyers_of_the_last_ten_units(working: Any) -> None:
    variants = await working.stock(stock=10)
    answers = await asyncio.gather(*(working.place(variants, key=f"b{n}") for n in range(200)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert {error.code for error in refused} == {"orders.out_of_stock"}
    placed = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert (len(refused), len(placed)) == (190, 10)
    await working.market.settle()
    orders = await working.orders.get_orders([order.id for order in placed])
    assert {order.status for order in orders} == {"confirmed"}
    assert sorted(int(order.number or 0) for order in orders) == list(range(1, 11))
    assert await working.database.value("SELECT count(*) FROM catalog.reservations") == 10


async def test_a_retry_finds_what_the_first_try_reserved(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies, or the database goes away, between the reservation and the orders transaction."""
    variants = await bench.stock()

    async def away(*_: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(PostgresOrderStore, "insert", away)
        with pytest.raises(Unavailable):
            await bench.place(variants, key="retry")
    assert await bench.available(variants) == [19]
    placed = await bench.place(variants, key="retry")
    assert await bench.available(variants) == [19]
    assert await bench.database.value("SELECT count(*) FROM catalog.reservations") == 1
    assert placed.status == "pending"


async def test_a_retry_that_is_refused_releases_what_the_first_try_reserved(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = await bench.stock()

    async def away(*_: Any) -> None:
        raise Unavailable

    async def refused(*_: Any) -> None:
        raise Invalid([])

    for outcome, available in ((away, 19), (refused, 20)):
        with monkeypatch.context() as patch:
            patch.setattr(PostgresOrderStore, "insert", outcome)
            with pytest.raises(MarketplaceError):
                await bench.place(variants, key="retry")
        assert await bench.available(variants) == [available]
    with pytest.raises(Invalid):  # what was refused stays refused
        await bench.place(variants, key="retry")


async def test_two_bodies_under_one_key_at_once(bench: Any) -> None:
    """Whoever is refused releases its own reservation and not the other's."""
    variants = await bench.stock()
    for round_ in range(5):
        before = (await bench.available(variants))[0]
        tries = [bench.place(variants, key=f"k{round_}", units=units) for units in (1, 2)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        [placed] = [answer for answer in answers if not isinstance(answer, BaseException)]
        [error] = [answer for answer in answers if isinstance(answer, MarketplaceError)]
        assert error.code in {"idempotency_key_reused", "idempotency.in_flight"}
        units = placed.packages[0].items[0].quantity
        if error.code == "idempotency.in_flight":
            with pytest.raises(MarketplaceError) as again:
                await bench.place(variants, key=f"k{round_}", units=3 - units)
            assert again.value.code == "idempotency_key_reused"
        assert (await bench.available(variants))[0] == before - units


async def test_keys_are_the_callers_own(bench: Any) -> None:
    variants = await bench.stock()
    ids = set()
    for call in (
        calls.Call(key="k", caller=Caller(audience="buyer", account_id="ada")),
        calls.Call(key="k", caller=Caller(audience="buyer", account_id="bob")),
        calls.Call(key="k", guest="cart-1"),
    ):
        with calls.scope(call):
            ids.add((await bench.orders.place(draft(variants))).id)
    assert len(ids) == 3
    assert await bench.available(variants) == [17]


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"expected_total": Money(PRICE, "USD")}, "cart.changed", "/expected_total"),
        ({"coupon": "SPRING"}, "coupons.not_applicable", None),
        ({"address": None}, "validation", "/address"),
        ({"address": None, "address_id": "mine"}, "validation", "/address"),
        ({"email": None}, "validation", "/email"),
        ({"lines": ()}, "cart.empty", None),
        ({"lines": (LineRequest("unknown", 1),)}, "orders.out_of_stock", "/lines/0"),
    ],
)
async def test_what_cannot_be_ordered(bench: Any, change: dict[str, Any], code: str, pointer: str | None) -> None:
    variants = await bench.stock()
    request: PlaceOrder = replace(draft(variants), **change)
    with calls.scope(calls.Call(key="refused")):
        for _ in range(2):
            with pytest.raises(MarketplaceError) as error:
                await bench.orders.place(request)
            assert error.value.code == code
            assert [problem.pointer for problem in error.value.errors] == ([pointer] if pointer else [])
    assert await bench.available(variants) == [20]
    assert await bench.database.value("SELECT count(*) FROM orders.orders") == 0


async def test_an_order_has_one_currency(bench: Any) -> None:
    variants = [*await bench.stock(), *await bench.stock(currency="USD")]
    with pytest.raises(Refused) as error:
        await bench.place(variants, key="mixed")
    assert error.value.code == "cart.currency_mismatch"
    assert await bench.available(variants) == [20, 20]


async def test_where_nobody_takes_money_orders_go_through(working: Any) -> None:
    variants = await working.stock()
    request = replace(draft(variants), payment=PaymentMethod("card", "tok_ok"))
    placed = await working.orders.place(request)
    await working.market.settle()
    assert (await working.now(placed)).status == "confirmed"


@pytest.mark.behaviour("cart-5")
async def test_stock_that_is_gone_fails_the_order_and_nothing_is_held(bench: Any) -> None:
    """The hold has run out, and somebody else took the units, before the checkout comes to it."""
    variants = await bench.stock(2, stock=5)
    placed = await bench.place(variants, units=5)
    await bench.market.clock.advance(3600)
    await bench.market.process.service("catalog").expire_reservations()
    views = await bench.catalog.get_variants(variants[:1])
    await bench.catalog.set_stock(bench.seller.id, [StockRow(views[0].sku, quantity=2)])
    await bench.market.start_worker()
    await bench.market.settle()
    order = await bench.now(placed)
    assert (order.status, order.number) == ("failed", None)
    assert order.failure is not None and order.failure.code == "orders.out_of_stock"
    assert [(entry.type, entry.actor, entry.detail) for entry in order.timeline][1:] == [
        ("orders.failed", "system", "orders.out_of_stock")
    ]
    assert await bench.available(variants) == [2, 5]
    assert await bench.types() == ["orders.placed", "orders.failed"]


@pytest.mark.behaviour("cart-5")
async def test_a_hold_that_ran_out_is_taken_anew(bench: Any) -> None:
    variants = await bench.stock()
    placed = await bench.place(variants, units=5)
    await bench.market.clock.advance(3600)
    await bench.market.process.service("catalog").expire_reservations()
    await bench.market.start_worker()
    await bench.market.settle()
    assert (await bench.now(placed)).status == "confirmed"
    assert await bench.available(variants) == [15]


@pytest.mark.behaviour("orders-2")
async def test_a_confirmation_that_fails_leaves_no_gap(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = await bench.stock()
    first, second = await bench.place(variants), await bench.place(variants)

    async def away(*_: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(PostgresOrderStore, "save", away)
        with pytest.raises(Unavailable):
            await bench.orders.confirm(first.id)
    await bench.orders.confirm(second.id)
    await bench.orders.confirm(first.id)
    assert [(await bench.now(order)).number for order in (first, second)] == ["000002", "000001"]
