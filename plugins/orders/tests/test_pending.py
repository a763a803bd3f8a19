"""One cart, one order, and a way out of it: the suite over this plugin, its mistakes, and what only this plugin knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from marketplace_orders.placing import Checkout
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.cart import AddItem, Cart, CartMerged, CartOwner
from marketplace_core.capabilities.catalog import Catalog, LineRequest, SellerRef
from marketplace_core.capabilities.orders import Orders, PaymentMethod, PlaceOrder
from marketplace_core.errors import Conflict, Invalid, Refused
from marketplace_core.testing.contracts import Method, Wrong, assert_contract_fails, fixtures_of, refused
from marketplace_core.testing.contracts.orders import ADDRESS, CartOrdersContract, OrdersContract, draft, list_variants
from marketplace_core.testing.contracts.orders_pending import PRICE, action
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, new_id

PLUGINS = ["catalog", "cart", "orders", "orchestrator"]


@pytest.fixture
async def shop(bench_of: Any, marketplace: Callable[..., Awaitable[Marketplace]]) -> Any:
    return bench_of(await marketplace(PLUGINS, runner="wire", worker=False))


@pytest.fixture
def orders(shop: Any) -> Any:
    return shop.orders


@pytest.fixture
def catalog(shop: Any) -> Any:
    return shop.catalog


@pytest.fixture
def cart(shop: Any) -> Any:
    return shop.market.port(Cart)


@pytest.fixture
def tell(shop: Any) -> Any:
    return shop.hear


class TestCartOrders(CartOrdersContract):
    pass


async def test_a_cart_that_was_bought_while_it_was_read_is_not_bought_again(
    bench_of: Any, marketplace: Callable[..., Awaitable[Marketplace]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other tab's order begins and is confirmed between this one's look at the cart and its own transaction."""
    shop = bench_of(await marketplace(PLUGINS, runner="local", worker=False))  # where an act is not tried once more
    cart = shop.market.port(Cart)
    [variant] = await list_variants(shop.catalog, SellerRef(new_id(), "Kettle"), 1)
    owner = CartOwner(token=(await cart.get_cart(CartOwner())).token)
    await cart.add_item(owner, AddItem(variant))
    wanted = PlaceOrder(owner=owner, address=ADDRESS, email="a@x.org", payment=None, expected_total=Money(PRICE, "EUR"))
    reserve, others = Checkout.reserve, list[str]()

    async def slowly(self: Checkout, *args: Any) -> Any:
        found = await reserve(self, *args)
        if not others:
            others.append("one")
            with calls.scope(calls.Call(key=new_id())):
                other = await shop.orders.place(wanted)
            await shop.orders.confirm(other.id)
        return found

    monkeypatch.setattr(Checkout, "reserve", slowly)
    with calls.scope(calls.Call(key=new_id())):
        await refused("cart.changed", shop.orders.place(wanted))
    assert await shop.available([variant]) == [19]


@pytest.mark.behaviour("cart-8")
async def test_what_is_about_to_be_confirmed_is_confirmed(shop: Any, cart: Cart) -> None:
    """Its stock is committed: neither its buyer nor another order of its cart ends it any more."""
    [variant] = await list_variants(shop.catalog, SellerRef(new_id(), "Kettle"), 1)
    owner = CartOwner(token=(await cart.get_cart(CartOwner())).token)
    await cart.add_item(owner, AddItem(variant))
    wanted = PlaceOrder(owner=owner, address=ADDRESS, email="a@x.org", payment=None, expected_total=Money(PRICE, "EUR"))
    with calls.scope(calls.Call(key=new_id())):
        placed = await shop.orders.place(wanted)
    await shop.hear(action(placed))
    await shop.catalog.commit((await shop.events("orders.placed"))[-1]["reservation"])
    await refused("orders.not_cancellable", shop.orders.cancel(placed.id, None, placed.token, None, ""))
    with calls.scope(calls.Call(key=new_id())):
        await refused("orders.in_progress", shop.orders.place(wanted))
    assert await shop.available([variant]) == [19]
    await shop.orders.confirm(placed.id)
    assert (await shop.now(placed)).status == "confirmed"


@pytest.mark.behaviour("cart-8")
async def test_an_order_follows_its_cart_into_the_account(shop: Any, cart: Cart) -> None:
    """Who orders as a guest, logs in while the bank waits, and orders again."""
    [variant] = await list_variants(shop.catalog, SellerRef(new_id(), "Kettle"), 1, stock=1)
    guest, account = CartOwner(token=(await cart.get_cart(CartOwner())).token), CartOwner("ada")
    await cart.add_item(guest, AddItem(variant))
    wanted = PlaceOrder(owner=guest, address=ADDRESS, email="a@x.org", payment=None, expected_total=Money(PRICE, "EUR"))
    with calls.scope(calls.Call(key=new_id())):
        first = await shop.orders.place(wanted)
    await shop.hear(action(first))
    assert guest.token is not None
    merged = CartMerged(cart_id="ada", guest_cart_id=(await shop.events("orders.placed"))[-1]["cart_id"])
    await cart.merge(guest.token, "ada")
    await shop.hear(merged)
    with calls.scope(calls.Call(key=new_id())):
        second = await shop.orders.place(replace(wanted, owner=account))
    assert (await shop.now(first)).failure.code == "orders.superseded"
    assert (await shop.now(second)).status == "pending"


@pytest.mark.behaviour("cart-8")
async def test_the_checkout_of_what_was_given_up_comes_to_nothing(shop: Any) -> None:
    placed = await shop.place(await shop.stock())
    await shop.orders.cancel(placed.id, None, placed.token, None, "")
    reservation = (await shop.events("orders.placed"))[-1]["reservation"]
    await refused("orders.out_of_stock", shop.catalog.commit(reservation))
    assert [event["code"] for event in await shop.events("orders.failed")] == ["orders.cancelled"]


async def test_nobody_is_sent_back_to_a_strangers_page(shop: Any) -> None:
    wanted = draft(await shop.stock())
    for url, problems in (("http://evil.example/", 1), ("javascript:alert(1)", 1), ("http://localhost:3000/", 0)):
        method = PaymentMethod("card", "tok_ok", return_url=url)
        try:
            await shop.orders.place(replace(wanted, payment=method))
            found = []
        except Invalid as error:
            found = [problem.pointer for problem in error.errors]
        assert found == ["/payment/return_url"] * problems


async def test_guests_hold_for_less(shop: Any) -> None:
    variants = await shop.stock()
    guest, account = await shop.place(variants), await shop.place(variants, account_id="ada")
    rows = await shop.database.fetch("SELECT key, expires_at FROM catalog.reservations")
    ends = {row["key"]: row["expires_at"] for row in rows}
    placed = {event["order_id"]: event for event in await shop.events("orders.placed")}
    for order, held, acts in ((guest, 600, 600), (account, 1800, 900)):
        assert (ends[placed[order.id]["reservation"]] - order.created_at).total_seconds() == pytest.approx(held, abs=5)
        until = datetime.fromisoformat(placed[order.id]["expires_at"])
        assert (until - order.created_at).total_seconds() == pytest.approx(acts, abs=5)


# ── mistakes, one each ───────────────────────────────────────────────────────────────────────────────────────


def lets_nobody_out(right: Any, _: Any, __: Any) -> Mapping[str, Method]:
    async def cancel(*args: Any) -> Any:
        raise Conflict("orders.not_cancellable")

    return {"cancel": cancel}


def holds_what_is_cancelled(right: Any, catalog: Any, _: Any) -> Mapping[str, Method]:
    async def cancel(*args: Any) -> Any:
        order = await right.cancel(*args)
        lines = [LineRequest(line.variant_id, line.quantity) for line in order.packages[0].items]
        await catalog.reserve(new_id(), lines, 600)
        return order

    return {"cancel": cancel}


def cancels_all_for_a_part(right: Any, _: Any, __: Any) -> Mapping[str, Method]:
    async def cancel(order_id: str, account_id: Any, token: Any, items: Any, reason: str) -> Any:
        return await right.cancel(order_id, account_id, token, None, reason)

    return {"cancel": cancel}


def counts_nobody(right: Any, _: Any, __: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        with calls.scope(calls.Call()):
            return await right.place(replace(request, owner=CartOwner(new_id())))

    return {"place": place}


def knows_no_carts(right: Any, _: Any, cart: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        found = await cart.get_lines(request.owner)
        return await right.place(replace(request, lines=tuple(found.lines)))

    return {"place": place}


def says_nothing_of_the_other(right: Any, _: Any, __: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        try:
            return await right.place(request)
        except Conflict as error:
            raise Conflict(error.code) from None

    return {"place": place}


def lets_both_wait(right: Any, _: Any, __: Any) -> Mapping[str, Method]:
    async def get_orders(ids: list[str]) -> Any:
        return [replace(order, status="pending", failure=None) for order in await right.get_orders(ids)]

    return {"get_orders": get_orders}


def supersedes_before_it_looks(right: Any, _: Any, __: Any) -> Mapping[str, Method]:
    placed: list[str] = []

    async def place(request: Any) -> Any:
        if placed:
            await right.cancel_by_operator(placed[0], None, "")
        order = await right.place(request)
        placed.append(order.id)
        return order

    return {"place": place}


def adds_up_whatever_it_is(right: Any, _: Any, __: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        try:
            return await right.place(request)
        except Refused:
            return None

    return {"place": place}


@pytest.mark.parametrize(
    ("mistake", "suite", "test"),
    [
        (adds_up_whatever_it_is, OrdersContract, "test_one_unit_at_the_highest_price_can_be_bought"),
        (lets_nobody_out, OrdersContract, "test_a_pending_order_can_be_cancelled"),
        (holds_what_is_cancelled, OrdersContract, "test_a_pending_order_can_be_cancelled"),
        (cancels_all_for_a_part, OrdersContract, "test_a_pending_order_is_cancelled_as_a_whole"),
        (counts_nobody, OrdersContract, "test_unpaid_orders_are_bounded"),
        (counts_nobody, OrdersContract, "test_held_units_are_bounded"),
        (knows_no_carts, CartOrdersContract, "test_a_cart_that_is_being_ordered_is_not_ordered_again"),
        (says_nothing_of_the_other, CartOrdersContract, "test_who_has_the_last_unit_is_told_where_it_is"),
        (lets_both_wait, CartOrdersContract, "test_one_that_waits_for_its_payer_gives_way"),
        (supersedes_before_it_looks, CartOrdersContract, "test_an_attempt_that_is_refused_supersedes_nothing"),
    ],
)
async def test_the_suite_notices(mistake: Any, suite: Any, test: str, shop: Any, cart: Cart) -> None:
    right, catalog = shop.market.port(Orders), shop.market.port(Catalog)
    wrong = Wrong(right, mistake(right, catalog, cart))
    given = {"orders": wrong, "catalog": catalog, "cart": cart, "tell": shop.hear}
    await assert_contract_fails(suite, test, **fixtures_of(suite, test, given))
