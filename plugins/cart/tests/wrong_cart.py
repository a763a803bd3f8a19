"""Carts with one mistake each: methods that stand in for those of the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.cart import AddItem, CartLines, CartOwner
from marketplace_core.capabilities.catalog import LineRequest
from marketplace_core.errors import Invalid, MarketplaceError, NotFound, PreconditionFailed, Refused
from marketplace_core.testing.contracts import Method
from marketplace_core.values import Money, etag, new_id

__all__ = ["MISTAKES"]

Mistake = Callable[[Any, Any], Mapping[str, Method]]
"""From the right service and its catalogue to the methods that are wrong."""


def _viewing(right: Any, change: Callable[[Any], Any]) -> Mapping[str, Method]:
    """Every view is changed so before it is shown."""

    def changed(name: str) -> Method:
        async def method(*args: Any) -> Any:
            return change(await getattr(right, name)(*args))

        return method

    return {name: changed(name) for name in ("get_cart", "add_item", "set_quantity")}


def _swallowing(right: Any, *methods: str, kinds: Any = MarketplaceError) -> Mapping[str, Method]:
    """A refusal is answered with the cart as it is."""

    def swallowed(name: str) -> Method:
        async def method(owner: CartOwner, *args: Any) -> Any:
            try:
                return await getattr(right, name)(owner, *args)
            except kinds:
                return await right.get_cart(owner)

        return method

    return {name: swallowed(name) for name in methods}


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────


def sets_what_is_added(right: Any, _: Any) -> Mapping[str, Method]:
    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        view = await right.add_item(owner, item)
        return await right.set_quantity(CartOwner(owner.account_id, view.token), item.variant_id, item.quantity)

    return {"add_item": add_item}


def keeps_what_is_set_to_zero(right: Any, _: Any) -> Mapping[str, Method]:
    async def set_quantity(owner: CartOwner, variant_id: str, quantity: int, if_match: str | None = None) -> Any:
        return await right.set_quantity(owner, variant_id, max(quantity, 1), if_match)

    return {"set_quantity": set_quantity}


def removes_what_is_not_there(right: Any, _: Any) -> Mapping[str, Method]:
    return _swallowing(right, "set_quantity", kinds=NotFound)


def adds_up_to_the_limit(right: Any, _: Any) -> Mapping[str, Method]:
    return _swallowing(right, "add_item", kinds=Refused)


def sets_up_to_the_limit(right: Any, _: Any) -> Mapping[str, Method]:
    async def set_quantity(owner: CartOwner, variant_id: str, quantity: int, if_match: str | None = None) -> Any:
        return await right.set_quantity(owner, variant_id, min(quantity, 50), if_match)

    return {"set_quantity": set_quantity}


def begins_anew_in_another_currency(right: Any, _: Any) -> Mapping[str, Method]:
    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        try:
            return await right.add_item(owner, item)
        except Refused:
            for line in (await right.get_cart(owner)).items:
                await right.set_quantity(owner, line.variant_id, 0)
            return await right.add_item(owner, item)

    return {"add_item": add_item}


def does_not_say_where(right: Any, _: Any) -> Mapping[str, Method]:
    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        try:
            return await right.add_item(owner, item)
        except Invalid:
            raise Invalid([]) from None

    return {"add_item": add_item}


def edits_what_it_has(right: Any, _: Any) -> Mapping[str, Method]:
    async def set_quantity(owner: CartOwner, variant_id: str, quantity: int, if_match: str | None = None) -> Any:
        return await right.set_quantity(owner, variant_id, quantity)

    return {"set_quantity": set_quantity}


# ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────


def keeps_the_first_price(right: Any, _: Any) -> Mapping[str, Method]:
    first: dict[str, Money] = {}

    def change(view: Any) -> Any:
        prices = [first.setdefault(item.variant_id, item.unit_price) for item in view.items]
        totals = [Money(price.amount * item.quantity, "EUR") for price, item in zip(prices, view.items, strict=True)]
        return replace(view, subtotal=Money.sum(totals, "EUR"))

    return _viewing(right, change)


def changes_prices_quietly(right: Any, _: Any) -> Mapping[str, Method]:
    return _viewing(right, lambda view: replace(view, problems=[one for one in view.problems if one.code != "price_changed"]))


def refuses_what_is_short(right: Any, _: Any) -> Mapping[str, Method]:
    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        view = await right.add_item(owner, item)
        if view.problems:
            raise Refused("orders.out_of_stock")
        return view

    return {"add_item": add_item}


def sums_what_nobody_has(right: Any, _: Any) -> Mapping[str, Method]:
    return _viewing(right, lambda view: replace(view, subtotal=Money.sum((one.line_total for one in view.items), "EUR")))


def drops_what_is_gone(right: Any, _: Any) -> Mapping[str, Method]:
    def change(view: Any) -> Any:
        gone = {problem.variant_id for problem in view.problems if problem.code == "unavailable"}
        return replace(view, items=[item for item in view.items if item.variant_id not in gone])

    return _viewing(right, change)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────


def sorts_its_lines(right: Any, _: Any) -> Mapping[str, Method]:
    async def get_lines(owner: CartOwner) -> Any:
        found = await right.get_lines(owner)
        return found and replace(found, lines=sorted(found.lines, key=lambda line: line.variant_id))

    return {"get_lines": get_lines}


def has_always_lines(right: Any, _: Any) -> Mapping[str, Method]:
    async def get_lines(owner: CartOwner) -> Any:
        return await right.get_lines(owner) or CartLines("", [])

    return {"get_lines": get_lines}


def removes_at_every_delivery(right: Any, _: Any) -> Mapping[str, Method]:
    async def remove_bought(cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        await right.remove_bought(cart_id, new_id(), lines)

    return {"remove_bought": remove_bought}


def empties_the_cart(right: Any, _: Any) -> Mapping[str, Method]:
    async def remove_bought(cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        await right.remove_bought(cart_id, order_id, [replace(line, quantity=1_000_000) for line in lines])

    return {"remove_bought": remove_bought}


def puts_back_by_adding(right: Any, _: Any) -> Mapping[str, Method]:
    """At every delivery, and as many as were asked for."""
    owners: dict[str, CartOwner] = {}

    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        view = await right.add_item(owner, item)
        owners[view.id] = CartOwner(owner.account_id, view.token)
        return view

    async def put_back(cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        for line in lines:
            await right.add_item(owners[cart_id], AddItem(line.variant_id, line.quantity))

    return {"add_item": add_item, "put_back": put_back}


def puts_nothing_back(right: Any, _: Any) -> Mapping[str, Method]:
    async def put_back(cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        pass

    return {"put_back": put_back}


def asks_the_catalogue_line_by_line(right: Any, catalog: Any) -> Mapping[str, Method]:
    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        view = await right.add_item(owner, item)
        for line in view.items:
            await catalog.get_variants([line.variant_id])
        return view

    return {"add_item": add_item}


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _AtOnce:
    """Those that look at once have all looked before one of them writes, however fast it is."""

    def __init__(self) -> None:
        self._looking = 0

    async def look(self, asking: Awaitable[Any]) -> Any:
        self._looking += 1
        try:
            seen = await asking
        finally:
            self._looking -= 1
        while self._looking:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        return seen


def reads_then_writes(right: Any, _: Any) -> Mapping[str, Method]:
    """Two at once add what one would."""
    at_once = _AtOnce()

    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        lines = await at_once.look(right.get_lines(owner))
        had = {line.variant_id: line.quantity for line in lines.lines} if lines else {}
        if item.variant_id not in had:
            return await right.add_item(owner, item)
        return await right.set_quantity(owner, item.variant_id, had[item.variant_id] + item.quantity)

    return {"add_item": add_item}


def looks_before_it_edits(right: Any, _: Any) -> Mapping[str, Method]:
    at_once = _AtOnce()

    async def set_quantity(owner: CartOwner, variant_id: str, quantity: int, if_match: str | None = None) -> Any:
        if if_match is not None and etag(await at_once.look(right.get_cart(owner))) != if_match:
            raise PreconditionFailed
        return await right.set_quantity(owner, variant_id, quantity)

    return {"set_quantity": set_quantity}


def knows_no_keys(right: Any, _: Any) -> Mapping[str, Method]:
    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        with calls.keyless():
            return await right.add_item(owner, item)

    async def set_quantity(*args: Any) -> Any:
        with calls.keyless():
            return await right.set_quantity(*args)

    return {"add_item": add_item, "set_quantity": set_quantity}


def answers_by_the_key_alone(right: Any, _: Any) -> Mapping[str, Method]:
    """Whoever asks, and for what."""
    known: dict[str, Any] = {}

    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        key = calls.current().key or new_id()
        if key not in known:
            with calls.keyless():
                known[key] = await right.add_item(owner, item)
        return known[key]

    return {"add_item": add_item}


MISTAKES: dict[str, list[Mistake]] = {
    "test_equal_variants_are_one_line": [sets_what_is_added],
    "test_a_quantity_is_set_and_zero_removes": [keeps_what_is_set_to_zero],
    "test_only_what_is_there_has_a_quantity": [removes_what_is_not_there],
    "test_limits_refuse_and_change_nothing": [adds_up_to_the_limit, sets_up_to_the_limit],
    "test_a_cart_has_one_currency_until_it_is_empty": [begins_anew_in_another_currency, adds_up_to_the_limit],
    "test_what_is_not_for_sale_is_not_added": [does_not_say_where],
    "test_an_edit_of_something_older_is_refused": [edits_what_it_has],
    "test_sums_are_of_current_prices": [keeps_the_first_price, changes_prices_quietly],
    "test_too_few_in_stock_is_a_problem_and_no_error": [refuses_what_is_short, sums_what_nobody_has],
    "test_a_line_outlives_its_variant": [drops_what_is_gone, sums_what_nobody_has],
    "test_what_is_sold_in_another_currency_now_cannot_be_bought": [sums_what_nobody_has],
    "test_an_order_is_of_the_lines": [sorts_its_lines, has_always_lines],
    "test_what_was_bought_leaves_once_and_nothing_else": [removes_at_every_delivery, empties_the_cart],
    "test_what_was_bought_comes_back_once": [puts_back_by_adding, puts_nothing_back],
    "test_what_comes_back_keeps_to_limits_and_currency": [puts_back_by_adding],
    "test_the_60th_line_costs_what_the_first_did": [asks_the_catalogue_line_by_line],
    "test_20_clients_add_up": [reads_then_writes],
    "test_20_clients_keep_the_limits": [adds_up_to_the_limit],
    "test_of_equal_edits_at_once_one_is_made": [looks_before_it_edits],
    "test_one_order_leaves_once_and_comes_back_once": [removes_at_every_delivery, puts_back_by_adding],
    "test_one_key_adds_once": [knows_no_keys],
    "test_one_key_sets_once": [knows_no_keys],
    "test_a_key_is_for_one_request_of_one_owner": [answers_by_the_key_alone],
    "test_guests_who_choose_the_same_simple_key_do_not_meet": [answers_by_the_key_alone],
}
