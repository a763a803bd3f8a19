"""The part of the cart's suite that is about guests, and what becomes of their carts when they log in."""

from __future__ import annotations

import asyncio

import pytest

from marketplace_core.capabilities.cart import Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.testing.contracts import refused, together
from marketplace_core.testing.contracts.cart_shop import Stall, account, add, as_lines, fill, guest_of, quantities
from marketplace_core.values import Money

__all__ = ["GuestRules"]


class GuestRules:
    line_limit = 100
    quantity_limit = 9999

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("cart-2")
    async def test_a_guest_is_known_by_the_token(self, cart: Cart, catalog: Catalog) -> None:
        [pot] = (await Stall.open(catalog)).ids
        first = await cart.get_cart(CartOwner())
        assert first.items == []
        added = await add(cart, guest_of(first), pot)
        assert (added.id, added.token, added.quantity) == (first.id, first.token, 1)
        other = await add(cart, CartOwner(), pot, 2)
        assert (other.id == first.id, other.token == first.token, other.quantity) == (False, False, 2)
        assert (await cart.set_quantity(guest_of(first), pot, 3)).quantity == 3
        assert await cart.get_cart(guest_of(other)) == other

    @pytest.mark.behaviour("cart-2")
    async def test_no_other_persons_cart_is_seen(self, cart: Cart, catalog: Catalog) -> None:
        [pot] = (await Stall.open(catalog)).ids
        owner = account()
        own, guest = await add(cart, owner, pot, 2), await add(cart, CartOwner(), pot, 3)
        token = str(guest.token)
        forged = token[:-1] + ("A" if token[-1] != "A" else "B")
        for made_up in ("", "made-up", forged, token.swapcase(), token + "A", guest.id, own.id, str(owner.account_id)):
            stranger = CartOwner(token=made_up)
            view = await cart.get_cart(stranger)
            assert view.items == [] and view.token not in {None, token, made_up} and view.id not in {guest.id, own.id}
            assert await cart.get_lines(stranger) is None
            added = await add(cart, stranger, pot)
            assert added.quantity == 1 and added.token not in {None, token, made_up}
            await cart.merge(made_up, str(account().account_id))
        for other in (account(), CartOwner(token=own.id)):
            assert (await cart.get_cart(other)).items == []
        assert (await cart.get_cart(owner), await cart.get_cart(guest_of(guest))) == (own, guest)

    # ── merging ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("cart-2")
    async def test_merging_adds_up_and_clamps(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup, jug, pan), owner = (await Stall.open(catalog, 4)).ids, account()
        guest = guest_of(await add(cart, CartOwner(), jug))
        await fill(cart, owner, [pot, cup], 2)
        await cart.set_quantity(owner, pot, self.quantity_limit - 1)
        await fill(cart, guest, [pan, pot, cup], 3)
        await cart.merge(str(guest.token), str(owner.account_id))
        merged = await cart.get_cart(owner)
        assert quantities(merged) == [(pot, self.quantity_limit), (cup, 5), (jug, 1), (pan, 3)]
        assert merged.token is None

    @pytest.mark.behaviour("cart-2")
    async def test_merging_keeps_the_line_limit_and_what_the_account_had(self, cart: Cart, catalog: Catalog) -> None:
        (*most, last, over), owner = (await Stall.open(catalog, self.line_limit + 1)).ids, account()
        await fill(cart, owner, most)
        guest = guest_of(await add(cart, CartOwner(), last))
        await fill(cart, guest, [over, most[0]])
        await cart.merge(str(guest.token), str(owner.account_id))
        expected = [(most[0], 2), *((variant_id, 1) for variant_id in [*most[1:], last])]
        assert quantities(await cart.get_cart(owner)) == expected
        await refused("cart.line_limit", add(cart, owner, over))

    @pytest.mark.behaviour("cart-2")
    async def test_an_empty_account_takes_the_guests_cart_as_it_is(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner = (await Stall.open(catalog, 2, currency="USD")).ids, account()
        guest = await add(cart, CartOwner(), cup, 2)
        await add(cart, guest_of(guest), pot)
        await cart.merge(str(guest.token), str(owner.account_id))
        view = await cart.get_cart(owner)
        assert (quantities(view), view.subtotal) == ([(cup, 2), (pot, 1)], Money(3000, "USD"))

    @pytest.mark.behaviour("cart-2")
    async def test_merging_keeps_the_accounts_currency(self, cart: Cart, catalog: Catalog) -> None:
        [pot], [cup] = (await Stall.open(catalog)).ids, (await Stall.open(catalog, currency="USD")).ids
        owner = account()
        await add(cart, owner, pot)
        guest = await add(cart, CartOwner(), cup)
        await cart.merge(str(guest.token), str(owner.account_id))
        view = await cart.get_cart(owner)
        assert (quantities(view), view.subtotal) == ([(pot, 1)], Money(1000, "EUR"))

    @pytest.mark.behaviour("cart-2")
    async def test_the_token_is_dead_after_merging(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner, thief = (await Stall.open(catalog, 2)).ids, account(), account()
        guest = await add(cart, CartOwner(), pot, 2)
        await cart.merge(str(guest.token), str(owner.account_id))
        merged = await cart.get_cart(owner)
        for account_id in (owner.account_id, thief.account_id):
            await cart.merge(str(guest.token), str(account_id))
        assert await cart.get_cart(owner) == merged
        assert (await cart.get_cart(thief)).items == []
        dead = await cart.get_cart(guest_of(guest))
        assert dead.items == [] and dead.token not in {None, guest.token} and dead.id not in {guest.id, owner.account_id}
        again = await add(cart, guest_of(guest), cup)
        assert quantities(again) == [(cup, 1)] and again.token not in {None, guest.token}
        assert quantities(await cart.get_cart(guest_of(again))) == [(cup, 1)]
        assert quantities(await cart.get_cart(owner)) == [(pot, 2)]

    @pytest.mark.behaviour("cart-2")
    async def test_an_empty_cart_is_merged_too(self, cart: Cart, catalog: Catalog) -> None:
        [pot], owner = (await Stall.open(catalog)).ids, account()
        await add(cart, owner, pot)
        guest = await cart.get_cart(CartOwner())
        await cart.merge(str(guest.token), str(owner.account_id))
        assert (await cart.get_cart(guest_of(guest))).token != guest.token
        assert quantities(await cart.get_cart(owner)) == [(pot, 1)]

    @pytest.mark.behaviour("cart-2")
    async def test_nothing_is_lost_between_merging_and_adding(self, cart: Cart, catalog: Catalog) -> None:
        """What comes too late for the cart that goes is in the one that its answer shows."""
        [pot] = (await Stall.open(catalog)).ids
        for _ in range(10):
            owner = account()
            guest = await add(cart, CartOwner(), pot, 3)
            late = [add(cart, guest_of(guest), pot) for _ in range(3)]
            own = [add(cart, owner, pot) for _ in range(3)]
            merging = asyncio.ensure_future(cart.merge(str(guest.token), str(owner.account_id)))
            views = await together(*late, *own)
            await merging
            elsewhere = [await cart.get_cart(guest_of(view)) for view in views[:3] if view.id != guest.id]
            assert (await cart.get_cart(owner)).quantity + sum(view.quantity for view in elsewhere) == 9

    @pytest.mark.behaviour("cart-2", "cart-4")
    async def test_what_a_guest_bought_is_in_the_cart_that_took_it(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner = (await Stall.open(catalog, 2)).ids, account()
        guest = await add(cart, CartOwner(), pot, 2)
        await add(cart, owner, cup)
        await cart.merge(str(guest.token), str(owner.account_id))
        for _ in range(2):
            await cart.remove_bought(guest.id, "order", as_lines((pot, 1)))
            assert quantities(await cart.get_cart(owner)) == [(cup, 1), (pot, 1)]
        await cart.put_back(guest.id, "order", as_lines((pot, 1)))
        assert quantities(await cart.get_cart(owner)) == [(cup, 1), (pot, 2)]
        assert await cart.get_lines(guest_of(guest)) is None
