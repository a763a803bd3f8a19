"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.orders import CancelItem, Orders, ShipRequest
from marketplace_core.errors import Conflict, MarketplaceError, NotFound
from marketplace_core.testing.contracts import Method, Wrong, assert_contract_fails, fixtures_of
from marketplace_core.testing.contracts.orders import OrdersContract
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, Page, new_id


@pytest.fixture(params=["local", "wire"])
async def market(request: pytest.FixtureRequest, marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
    return await marketplace(["catalog", "orders", "orchestrator"], runner=request.param, worker=False)


@pytest.fixture
def orders(market: Marketplace) -> Orders:
    return market.port(Orders)


@pytest.fixture
def catalog(market: Marketplace) -> Catalog:
    return market.port(Catalog)


class TestOrders(OrdersContract):
    pass


# ── mistakes, one each ───────────────────────────────────────────────────────────────────────────────────────

Mistake = Callable[[Any, Any], Mapping[str, Method]]
"""From the right service and its catalogue to the methods that are wrong."""


def shows_todays_catalogue(right: Any, catalog: Any) -> Mapping[str, Method]:
    async def get_orders(ids: list[str]) -> Any:
        [order] = await right.get_orders(ids)
        [package] = order.packages
        [view] = await catalog.get_variants([package.items[0].variant_id])
        items = [replace(package.items[0], title=view.title, unit_price=view.price)]
        return [replace(order, packages=[replace(package, items=items)])]

    return {"get_orders": get_orders}


def loses_a_cent(right: Any, _: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        order = await right.place(request)
        first, *rest = order.packages
        return replace(order, packages=[replace(first, total=first.total - Money(1, "EUR")), *rest])

    return {"place": place}


def knows_no_keys(right: Any, _: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        with calls.keyless():
            return await right.place(request)

    async def ship(*args: Any) -> Any:
        with calls.keyless():
            return await right.ship(*args)

    return {"place": place, "ship": ship}


def ignores_the_body(right: Any, _: Any) -> Mapping[str, Method]:
    first: list[Any] = []

    async def place(request: Any) -> Any:
        if not first:
            first.append(await right.place(request))
        return first[0]

    return {"place": place}


def keeps_what_it_refuses(right: Any, catalog: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        try:
            return await right.place(request)
        except Conflict:
            await catalog.reserve(new_id(), list(request.lines), 600)
            raise

    return {"place": place}


def takes_any_total(right: Any, _: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        try:
            return await right.place(request)
        except Conflict as error:
            if error.code != "cart.changed":
                raise
            return None

    return {"place": place}


def does_not_say_which(right: Any, _: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        try:
            return await right.place(request)
        except Conflict as error:
            raise Conflict(error.code) from None

    return {"place": place}


def sells_nothing_at_all(right: Any, _: Any) -> Mapping[str, Method]:
    async def place(request: Any) -> Any:
        return await right.place(request) if request.lines else None

    return {"place": place}


def counts_on_at_every_call(right: Any, _: Any) -> Mapping[str, Method]:
    count = itertools.count(1)

    async def get_orders(ids: list[str]) -> Any:
        return [replace(order, number=str(next(count))) for order in await right.get_orders(ids)]

    return {"get_orders": get_orders}


def forgets_the_payment(right: Any, _: Any) -> Mapping[str, Method]:
    async def confirm(order_id: str, payment: Any = None) -> None:
        await right.confirm(order_id)

    return {"confirm": confirm}


def shows_every_payment_it_is_given(right: Any, _: Any) -> Mapping[str, Method]:
    told: list[Any] = []

    async def confirm(order_id: str, payment: Any = None) -> None:
        await right.confirm(order_id, payment)
        told.append(payment)

    async def get_orders(ids: list[str]) -> Any:
        return [replace(order, payment=told[-1]) for order in await right.get_orders(ids)]

    return {"confirm": confirm, "get_orders": get_orders}


def numbers_every_attempt(right: Any, _: Any) -> Mapping[str, Method]:
    async def fail(order_id: str, failure: Any) -> None:
        await right.confirm(order_id)

    return {"fail": fail}


def fails_without_a_word(right: Any, _: Any) -> Mapping[str, Method]:
    async def get_orders(ids: list[str]) -> Any:
        return [replace(order, failure=None) for order in await right.get_orders(ids)]

    return {"get_orders": get_orders}


def shows_orders_to_anybody(right: Any, _: Any) -> Mapping[str, Method]:
    async def get_order(order_id: str, account_id: Any, token: Any) -> Any:
        [order] = await right.get_orders([order_id])
        return order

    return {"get_order": get_order}


def lists_orders_of_all(right: Any, _: Any) -> Mapping[str, Method]:
    async def list_orders(account_id: str, query: Any) -> Any:
        return await right.list_orders("ada", query)

    return {"list_orders": list_orders}


def shows_packages_too_early(right: Any, _: Any) -> Mapping[str, Method]:
    seen: list[Any] = []

    async def place(request: Any) -> Any:
        seen.append(await right.place(request))
        return seen[-1]

    async def list_packages(seller_id: str, query: Any) -> Any:
        return Page([one for order in seen for one in order.packages if one.seller.id == seller_id])

    return {"place": place, "list_packages": list_packages}


def trusts_every_seller(right: Any, _: Any) -> Mapping[str, Method]:
    owner: list[str] = []

    async def ship(seller_id: str, package_id: str, request: Any) -> Any:
        owner.append(seller_id)
        return await right.ship(seller_id, package_id, request)

    async def get_shipment(seller_id: str, shipment_id: str) -> Any:
        return await right.get_shipment(owner[0], shipment_id)

    return {"ship": ship, "get_shipment": get_shipment}


def never_forgets_a_name(right: Any, _: Any) -> Mapping[str, Method]:
    async def get_package(*args: Any) -> Any:
        package = await right.get_package(*args)
        return replace(package, address=replace(package.address, name="Ada Buyer"))

    return {"get_package": get_package}


def pages_by_number(right: Any, _: Any) -> Mapping[str, Method]:
    async def list_orders(account_id: str, query: Any) -> Any:
        begin = int(query.cursor or 0)
        found = await right.list_orders(account_id, replace(query, limit=100, cursor=None))
        more = begin + query.limit < len(found.items)
        return Page(found.items[begin : begin + query.limit], str(begin + query.limit) if more else None)

    return {"list_orders": list_orders}


def shares_cursors_between_filters(right: Any, _: Any) -> Mapping[str, Method]:
    async def list_orders(account_id: str, query: Any) -> Any:
        return await right.list_orders(account_id, replace(query, status=None))

    return {"list_orders": list_orders}


def finds_everything(right: Any, _: Any) -> Mapping[str, Method]:
    async def search_orders(query: Any) -> Any:
        return await right.search_orders(replace(query, number=None, status=None, email=None))

    return {"search_orders": search_orders}


def does_not_wait(right: Any, _: Any) -> Mapping[str, Method]:
    async def wait_for_change(order_id: str, account_id: Any, token: Any, after: int, wait: float) -> Any:
        return await right.get_order(order_id, account_id, token)

    return {"wait_for_change": wait_for_change}


def cancels_what_it_can(right: Any, _: Any) -> Mapping[str, Method]:
    """Of too many units those that are left."""

    async def cancel_by_operator(order_id: str, items: Any, reason: str) -> Any:
        try:
            return await right.cancel_by_operator(order_id, items, reason)
        except Conflict:
            return await right.cancel_by_operator(order_id, None, reason)

    return {"cancel_by_operator": cancel_by_operator}


def ships_what_it_can(right: Any, _: Any) -> Mapping[str, Method]:
    async def ship(seller_id: str, package_id: str, request: Any) -> Any:
        try:
            return await right.ship(seller_id, package_id, request)
        except Conflict:
            return await right.ship(seller_id, package_id, ShipRequest())

    return {"ship": ship}


def is_as_far_as_its_first_package(right: Any, _: Any) -> Mapping[str, Method]:
    async def get_orders(ids: list[str]) -> Any:
        return [replace(order, status=order.packages[0].status) for order in await right.get_orders(ids)]

    return {"get_orders": get_orders}


def says_it_was_the_buyer(right: Any, _: Any) -> Mapping[str, Method]:
    async def decline(seller_id: str, package_id: str, items: list[CancelItem], reason: str) -> None:
        package = await right.get_package(seller_id, package_id)
        await right.cancel_by_operator(package.order_id, items, reason)

    return {"decline": decline}


def hides_orders_behind_a_403(right: Any, _: Any) -> Mapping[str, Method]:
    async def get_order(*args: Any) -> Any:
        try:
            return await right.get_order(*args)
        except NotFound:
            raise MarketplaceError("auth.forbidden") from None

    return {"get_order": get_order}


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (shows_todays_catalogue, "test_lines_stay_as_they_were_bought"),
        (loses_a_cent, "test_packages_add_up_to_the_order"),
        (knows_no_keys, "test_one_key_is_one_order"),
        (knows_no_keys, "test_units_are_shipped_once"),
        (ignores_the_body, "test_one_key_is_one_order"),
        (keeps_what_it_refuses, "test_another_total_is_refused_and_holds_nothing"),
        (takes_any_total, "test_another_total_is_refused_and_holds_nothing"),
        (does_not_say_which, "test_another_total_is_refused_and_holds_nothing"),
        (does_not_say_which, "test_too_many_units_are_refused_by_line"),
        (sells_nothing_at_all, "test_nothing_to_buy_is_refused"),
        (counts_on_at_every_call, "test_a_number_comes_with_the_confirmation"),
        (forgets_the_payment, "test_the_payment_comes_with_the_confirmation"),
        (shows_every_payment_it_is_given, "test_the_payment_comes_with_the_confirmation"),
        (numbers_every_attempt, "test_numbers_have_no_gaps"),
        (fails_without_a_word, "test_a_failed_order_says_why"),
        (shows_orders_to_anybody, "test_a_guest_sees_an_order_by_its_token"),
        (hides_orders_behind_a_403, "test_a_guest_sees_an_order_by_its_token"),
        (lists_orders_of_all, "test_a_buyer_sees_own_orders"),
        (shows_packages_too_early, "test_a_seller_sees_own_packages_once_they_are_confirmed"),
        (trusts_every_seller, "test_another_sellers_package_is_not_there"),
        (never_forgets_a_name, "test_a_seller_forgets_the_buyer_in_the_end"),
        (pages_by_number, "test_pages_go_on_where_they_ended"),
        (shares_cursors_between_filters, "test_pages_go_on_where_they_ended"),
        (finds_everything, "test_operators_find_orders"),
        (does_not_wait, "test_a_change_is_waited_for"),
        (cancels_what_it_can, "test_units_are_cancelled_once"),
        (ships_what_it_can, "test_units_are_shipped_once"),
        (is_as_far_as_its_first_package, "test_an_order_is_as_far_as_its_last_package"),
        (says_it_was_the_buyer, "test_the_timeline_says_who"),
    ],
)
async def test_the_suite_notices(mistake: Mistake, test: str, marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    market = await marketplace(["catalog", "orders", "orchestrator"], worker=False)
    right, catalog = market.port(Orders), market.port(Catalog)
    given = {"orders": Wrong(right, mistake(right, catalog)), "catalog": catalog}
    await assert_contract_fails(OrdersContract, test, **fixtures_of(OrdersContract, test, given))
