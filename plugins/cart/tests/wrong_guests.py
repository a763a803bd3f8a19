"""Carts with one mistake each in what they do with guests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from marketplace_core.capabilities.cart import AddItem, CartOwner
from marketplace_core.errors import MarketplaceError
from marketplace_core.testing.contracts import Method
from marketplace_core.values import new_id

__all__ = ["MISTAKES"]

# ── guests ───────────────────────────────────────────────────────────────────────────────────────────────────


def forgets_guests(right: Any, _: Any) -> Mapping[str, Method]:
    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        return await right.add_item(CartOwner(owner.account_id), item)

    return {"add_item": add_item}


def takes_any_token(right: Any, _: Any) -> Mapping[str, Method]:
    """What was made up names a cart from then on."""
    made: dict[str, str] = {}

    async def known(owner: CartOwner) -> CartOwner:
        if owner.account_id or owner.token is None:
            return owner
        view = await right.get_cart(CartOwner(token=made.get(owner.token, owner.token)))
        made[owner.token] = view.token
        return CartOwner(token=view.token)

    async def get_cart(owner: CartOwner) -> Any:
        view = await right.get_cart(await known(owner))
        return view if view.token is None else replace(view, token=owner.token or view.token)

    return {"get_cart": get_cart}


def takes_an_id_for_a_token(right: Any, _: Any) -> Mapping[str, Method]:
    tokens: dict[str, str] = {}

    async def add_item(owner: CartOwner, item: AddItem) -> Any:
        view = await right.add_item(owner, item)
        tokens[view.id] = view.token
        return view

    async def get_cart(owner: CartOwner) -> Any:
        return await right.get_cart(CartOwner(owner.account_id, tokens.get(owner.token or "", owner.token)))

    return {"add_item": add_item, "get_cart": get_cart}


# ── merging ──────────────────────────────────────────────────────────────────────────────────────────────────


def merges_only_what_is_new(right: Any, _: Any) -> Mapping[str, Method]:
    """Equal variants keep the account's count."""

    async def merge(token: str, account_id: str) -> None:
        for item in (await right.get_cart(CartOwner(account_id))).items:
            await _ignored(right.set_quantity(CartOwner(token=token), item.variant_id, 0))
        await right.merge(token, account_id)

    return {"merge": merge}


def merges_below_the_limit_only(right: Any, _: Any) -> Mapping[str, Method]:
    """What does not fit whole stays out."""

    async def merge(token: str, account_id: str) -> None:
        for item in (await right.get_cart(CartOwner(token=token))).items:
            await _ignored(right.add_item(CartOwner(account_id), AddItem(item.variant_id, item.quantity)))
        await right.merge(token, new_id())

    return {"merge": merge}


def makes_room_for_the_guest(right: Any, _: Any) -> Mapping[str, Method]:
    async def merge(token: str, account_id: str) -> None:
        coming = (await right.get_cart(CartOwner(token=token))).items
        for item in (await right.get_cart(CartOwner(account_id))).items[: len(coming)]:
            await right.set_quantity(CartOwner(account_id), item.variant_id, 0)
        await right.merge(token, account_id)

    return {"merge": merge}


def merges_in_the_deployments_currency(right: Any, _: Any) -> Mapping[str, Method]:
    async def merge(token: str, account_id: str) -> None:
        if (await right.get_cart(CartOwner(token=token))).subtotal.currency == "EUR":
            await right.merge(token, account_id)

    return {"merge": merge}


def lets_the_guests_currency_win(right: Any, _: Any) -> Mapping[str, Method]:
    async def merge(token: str, account_id: str) -> None:
        coming = await right.get_cart(CartOwner(token=token))
        own = await right.get_cart(CartOwner(account_id))
        if own.subtotal.currency != coming.subtotal.currency:
            for item in own.items:
                await right.set_quantity(CartOwner(account_id), item.variant_id, 0)
        await right.merge(token, account_id)

    return {"merge": merge}


def copies_instead_of_moving(right: Any, _: Any) -> Mapping[str, Method]:
    async def merge(token: str, account_id: str) -> None:
        for item in (await right.get_cart(CartOwner(token=token))).items:
            await right.add_item(CartOwner(account_id), AddItem(item.variant_id, item.quantity))

    return {"merge": merge}


def merges_in_steps(right: Any, _: Any) -> Mapping[str, Method]:
    """What is added between reading a cart and ending it is lost."""

    async def merge(token: str, account_id: str) -> None:
        coming = (await right.get_cart(CartOwner(token=token))).items
        await asyncio.sleep(0.02)
        for item in coming:
            await right.add_item(CartOwner(account_id), AddItem(item.variant_id, item.quantity))
        await right.merge(token, new_id())

    return {"merge": merge}


async def _ignored(act: Any) -> None:
    try:
        await act
    except MarketplaceError:
        return


MISTAKES = {
    "test_a_guest_is_known_by_the_token": [forgets_guests],
    "test_no_other_persons_cart_is_seen": [takes_any_token, takes_an_id_for_a_token],
    "test_merging_adds_up_and_clamps": [merges_only_what_is_new, merges_below_the_limit_only],
    "test_merging_keeps_the_line_limit_and_what_the_account_had": [makes_room_for_the_guest],
    "test_an_empty_account_takes_the_guests_cart_as_it_is": [merges_in_the_deployments_currency],
    "test_merging_keeps_the_accounts_currency": [lets_the_guests_currency_win],
    "test_the_token_is_dead_after_merging": [copies_instead_of_moving],
    "test_an_empty_cart_is_merged_too": [copies_instead_of_moving],
    "test_nothing_is_lost_between_merging_and_adding": [merges_in_steps],
    "test_what_a_guest_bought_is_in_the_cart_that_took_it": [copies_instead_of_moving],
}
