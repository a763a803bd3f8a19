"""The part of the cart's suite that is about many at once, and about one who asks again."""

from __future__ import annotations

import asyncio

import pytest

from marketplace_core._rpc.runners import RepeatDiffers
from marketplace_core.capabilities.cart import Cart, CartOwner, CartView
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.errors import MarketplaceError, PreconditionFailed, Refused
from marketplace_core.testing.contracts import refused, together
from marketplace_core.testing.contracts.cart_shop import Stall, account, add, as_lines, guest_of, keyed, quantities
from marketplace_core.values import etag, new_id

__all__ = ["OnceRules"]

CLIENTS = 20
UNDEFINED = "undefined"


class OnceRules:
    line_limit = 100
    quantity_limit = 9999

    # ── at once ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("cart-1")
    async def test_20_clients_add_up(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner = (await Stall.open(catalog, 2)).ids, account()
        guest = guest_of(await cart.get_cart(CartOwner()))
        for whose in (owner, guest):
            await add(cart, whose, pot)
            await together(*(add(cart, whose, (pot, cup)[n % 2], 2) for n in range(CLIENTS)))
            assert sorted(quantities(await cart.get_cart(whose))) == sorted([(pot, CLIENTS + 1), (cup, CLIENTS)])

    @pytest.mark.behaviour("cart-1")
    async def test_20_clients_keep_the_limits(self, cart: Cart, catalog: Catalog) -> None:
        ids, owner = (await Stall.open(catalog, self.line_limit + CLIENTS // 2)).ids, account()
        some = len(ids) - CLIENTS
        for variant_id in ids[:some]:
            await add(cart, owner, variant_id)
        new = await asyncio.gather(*(add(cart, owner, id_) for id_ in ids[some:]), return_exceptions=True)
        assert [answer.code for answer in new if isinstance(answer, Refused)] == ["cart.line_limit"] * (CLIENTS // 2)
        assert all(len(answer.items) <= self.line_limit for answer in new if isinstance(answer, CartView))
        half = self.quantity_limit // 2
        more = await asyncio.gather(*(add(cart, owner, ids[0], half) for _ in range(CLIENTS)), return_exceptions=True)
        assert sum(isinstance(answer, CartView) for answer in more) == (self.quantity_limit - 1) // half
        assert max(item.quantity for item in (await cart.get_cart(owner)).items) <= self.quantity_limit

    async def test_of_equal_edits_at_once_one_is_made(self, cart: Cart, catalog: Catalog) -> None:
        [pot], owner = (await Stall.open(catalog)).ids, account()
        await add(cart, owner, pot)
        tag = etag(await cart.get_cart(owner))
        edits = (cart.set_quantity(owner, pot, 10 + n, tag) for n in range(5))
        answers = await asyncio.gather(*edits, return_exceptions=True)
        assert sum(isinstance(answer, PreconditionFailed) for answer in answers) == 4
        [made] = [answer for answer in answers if isinstance(answer, CartView)]
        assert await cart.get_cart(owner) == made

    @pytest.mark.behaviour("cart-4")
    async def test_one_order_leaves_once_and_comes_back_once(self, cart: Cart, catalog: Catalog) -> None:
        [pot], owner = (await Stall.open(catalog)).ids, account()
        view = await add(cart, owner, pot, 50)
        order = new_id()
        removals = [cart.remove_bought(view.id, order, as_lines((pot, 3))) for _ in range(5)]
        await together(*removals, *(cart.remove_bought(view.id, new_id(), as_lines((pot, 1))) for _ in range(5)))
        assert quantities(await cart.get_cart(owner)) == [(pot, 42)]
        await together(*(cart.put_back(view.id, order, as_lines((pot, 3))) for _ in range(5)))
        assert quantities(await cart.get_cart(owner)) == [(pot, 45)]

    # ── by one key ───────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("all-1")
    @pytest.mark.parametrize("who", ["account", "guest", "stranger"])
    async def test_one_key_adds_once(self, cart: Cart, catalog: Catalog, who: str) -> None:
        """A stranger has no token yet: the key is the only thing by which the first answer's cart is found again."""
        (pot, cup), key = (await Stall.open(catalog, 2)).ids, new_id() if who == "stranger" else "1"
        owner = account() if who == "account" else CartOwner()
        if who == "guest":
            owner = guest_of(await add(cart, owner, cup))

        async def ask() -> CartView:
            with keyed(owner, key):
                return await add(cart, owner, pot, 2)

        at_once = await asyncio.gather(*(ask() for _ in range(CLIENTS)), return_exceptions=True)
        again = await ask()
        for answer in at_once:
            in_flight = isinstance(answer, MarketplaceError) and answer.code == "idempotency.in_flight"
            assert in_flight or answer == again, answer
        later = CartOwner(owner.account_id, again.token)
        assert (pot, 3) in quantities(await add(cart, later, pot))
        assert await ask() == again
        assert (pot, 3) in quantities(await cart.get_cart(later))

    @pytest.mark.behaviour("all-1")
    async def test_one_key_sets_once(self, cart: Cart, catalog: Catalog) -> None:
        [pot], owner = (await Stall.open(catalog)).ids, account()
        await add(cart, owner, pot)
        with keyed(owner, "to three"):
            first = await cart.set_quantity(owner, pot, 3)
        await cart.set_quantity(owner, pot, 5)
        with keyed(owner, "to three"):
            assert await cart.set_quantity(owner, pot, 3) == first
        assert (await cart.get_cart(owner)).quantity == 5

    @pytest.mark.behaviour("all-1")
    async def test_a_key_is_for_one_request_of_one_owner(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner, other = (await Stall.open(catalog, 2)).ids, account(), account()
        with keyed(owner, "one"):
            await add(cart, owner, pot)
            await refused("idempotency_key_reused", add(cart, owner, pot, 2))
            await refused("idempotency_key_reused", add(cart, owner, cup))
        with keyed(other, "one"):
            assert quantities(await add(cart, other, cup)) == [(cup, 1)]
        assert quantities(await cart.get_cart(owner)) == [(pot, 1)]

    @pytest.mark.behaviour("cart-2")
    async def test_guests_who_choose_the_same_simple_key_do_not_meet(self, cart: Cart, catalog: Catalog) -> None:
        """Without a token of ours nothing tells them apart, and the answer to a repeat would hold the other's token."""
        [pot] = (await Stall.open(catalog)).ids
        for owner in (CartOwner(), CartOwner(token=UNDEFINED)):
            views = []
            for _ in range(2):
                try:
                    with keyed(owner, "1"):
                        views.append(await add(cart, owner, pot))
                except RepeatDiffers:  # the runner asked twice by itself, and was given two carts
                    return
            assert views[0].id != views[1].id and views[0].token != views[1].token
            assert [view.quantity for view in views] == [1, 1]
