"""The part of the cart's suite that is about what is in a cart, and what it says of it."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from marketplace_core.adapters.postgres import Connection
from marketplace_core.capabilities.cart import Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.errors import Invalid, NotFound, PreconditionFailed
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.cart_shop import Stall, account, add, as_lines, fill, guest_of, problems, quantities
from marketplace_core.values import Money, etag, new_id

__all__ = ["LineRules"]


class LineRules:
    line_limit = 100
    quantity_limit = 9999

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("cart-1")
    async def test_equal_variants_are_one_line(self, cart: Cart, catalog: Catalog) -> None:
        stall, owner = await Stall.open(catalog, 2), account()
        pot, cup = stall.ids
        empty = await cart.get_cart(owner)
        assert (empty.items, empty.quantity, empty.subtotal, empty.problems) == ([], 0, Money(0, "EUR"), [])
        await add(cart, owner, cup)
        await add(cart, owner, pot, 2)
        view = await add(cart, owner, cup, 2)
        assert quantities(view) == [(cup, 3), (pot, 2)]
        assert (view.token, view.quantity, view.subtotal, view.problems) == (None, 5, Money(5000, "EUR"), [])
        item = view.items[0]
        assert (item.product_id, item.seller_id) == (stall.product_id, stall.seller_id)
        assert (item.title, item.options, item.image) == ("Tea pot", {"size": "1"}, None)
        assert (item.unit_price, item.line_total, item.available) == (Money(1000, "EUR"), Money(3000, "EUR"), 1_000_000)
        assert await cart.get_cart(owner) == view

    @pytest.mark.behaviour("cart-1")
    async def test_a_quantity_is_set_and_zero_removes(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner = (await Stall.open(catalog, 2)).ids, account()
        await fill(cart, owner, [pot, cup], 2)
        assert quantities(await cart.set_quantity(owner, pot, 7)) == [(pot, 7), (cup, 2)]
        assert quantities(await cart.set_quantity(owner, pot, 0)) == [(cup, 2)]
        assert (await cart.set_quantity(owner, cup, 0)).items == []
        assert (await cart.get_cart(owner)).items == []

    @pytest.mark.behaviour("cart-1")
    async def test_only_what_is_there_has_a_quantity(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner = (await Stall.open(catalog, 2)).ids, account()
        await add(cart, owner, pot)
        for whose in (owner, account(), CartOwner(), CartOwner(token=new_id())):
            for quantity in (0, 1):
                with pytest.raises(NotFound):
                    await cart.set_quantity(whose, cup, quantity)
        assert quantities(await cart.get_cart(owner)) == [(pot, 1)]

    @pytest.mark.behaviour("cart-1")
    async def test_limits_refuse_and_change_nothing(self, cart: Cart, catalog: Catalog) -> None:
        (*most, last), owner = (await Stall.open(catalog, self.line_limit + 1)).ids, account()
        await add(cart, owner, most[0], self.quantity_limit)
        await fill(cart, owner, most[1:])
        before = await cart.get_cart(owner)
        await refused("cart.line_limit", add(cart, owner, last))
        await refused("cart.quantity_limit", add(cart, owner, most[0]))
        await refused("cart.quantity_limit", add(cart, account(), most[0], self.quantity_limit + 1))
        await refused("cart.quantity_limit", cart.set_quantity(owner, most[1], self.quantity_limit + 1))
        assert await cart.get_cart(owner) == before
        assert len(before.items) == self.line_limit

    @pytest.mark.behaviour("cart-1")
    async def test_a_cart_has_one_currency_until_it_is_empty(self, cart: Cart, catalog: Catalog) -> None:
        [pot], [cup] = (await Stall.open(catalog)).ids, (await Stall.open(catalog, currency="USD")).ids
        owner = account()
        await add(cart, owner, pot)
        await refused("cart.currency_mismatch", add(cart, owner, cup))
        assert quantities(await cart.set_quantity(owner, pot, 2)) == [(pot, 2)]
        await cart.set_quantity(owner, pot, 0)
        assert (await add(cart, owner, cup)).subtotal == Money(1000, "USD")

    async def test_what_is_not_for_sale_is_not_added(self, cart: Cart, catalog: Catalog) -> None:
        stall, owner = await Stall.open(catalog), account()
        await stall.archive()
        for variant_id in (stall.ids[0], new_id()):
            with pytest.raises(Invalid) as invalid:
                await add(cart, owner, variant_id)
            assert [(error.pointer, error.code) for error in invalid.value.errors] == [("/variant_id", "not_found")]
        assert (await cart.get_cart(owner)).items == []

    async def test_an_edit_of_something_older_is_refused(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner = (await Stall.open(catalog, 2)).ids, account()
        await add(cart, owner, pot)
        tag = etag(await cart.get_cart(owner))
        assert (await cart.set_quantity(owner, pot, 2, tag)).quantity == 2
        for quantity in (0, 3):
            with pytest.raises(PreconditionFailed):
                await cart.set_quantity(owner, pot, quantity, tag)
        assert (await cart.set_quantity(owner, pot, 4, "*")).quantity == 4
        tag = etag(await cart.get_cart(owner))
        await add(cart, owner, cup)  # the tag is that of the whole cart
        with pytest.raises(PreconditionFailed):
            await cart.set_quantity(owner, pot, 5, tag)

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("cart-1")
    async def test_sums_are_of_current_prices(self, cart: Cart, catalog: Catalog) -> None:
        stall, owner = await Stall.open(catalog, 2), account()
        pot, cup = stall.ids
        await fill(cart, owner, [pot, cup], 2)
        await stall.reprice(cup, 1500)
        view = await cart.get_cart(owner)
        assert (problems(view), view.subtotal) == ([("price_changed", cup)], Money(5000, "EUR"))
        assert [item.line_total for item in view.items] == [Money(2000, "EUR"), Money(3000, "EUR")]
        await stall.reprice(pot, 900)
        assert ("price_changed", pot) in problems(view := await add(cart, owner, cup))
        assert view.subtotal == Money(6300, "EUR")
        await stall.reprice(pot, 800)
        assert (await cart.set_quantity(owner, cup, 1)).subtotal == Money(3100, "EUR")

    @pytest.mark.behaviour("cart-1")
    async def test_too_few_in_stock_is_a_problem_and_no_error(self, cart: Cart, catalog: Catalog) -> None:
        some, none, owner = await Stall.open(catalog, stock=3), await Stall.open(catalog, stock=0), account()
        [pot], [cup] = some.ids, none.ids
        assert problems(await add(cart, owner, pot, 5)) == [("out_of_stock", pot)]
        view = await add(cart, owner, cup)
        assert problems(view) == [("out_of_stock", pot), ("out_of_stock", cup)]
        assert [item.available for item in view.items] == [3, 0]
        assert (view.quantity, view.subtotal) == (6, Money(5000, "EUR"))  # of what can be had at all
        await some.restock(pot, 5)
        await none.restock(cup, 1)
        view = await cart.get_cart(owner)
        assert (view.problems, view.subtotal) == ([], Money(6000, "EUR"))

    @pytest.mark.behaviour("cart-1")
    async def test_a_line_outlives_its_variant(self, cart: Cart, catalog: Catalog) -> None:
        gone, owner = await Stall.open(catalog), account()
        [pot], [cup] = gone.ids, (await Stall.open(catalog)).ids
        await add(cart, owner, pot, 2)
        shown = (await add(cart, owner, cup)).items[0]
        for end in (gone.archive, gone.delete):
            await end()
            view = await cart.get_cart(owner)
            assert problems(view) == [("unavailable", pot)]
            assert (view.items[0].title, view.items[0].unit_price) == (shown.title, shown.unit_price)
            assert (view.items[0].available, view.quantity, view.subtotal) == (0, 3, Money(1000, "EUR"))
        assert quantities(await add(cart, owner, cup)) == [(pot, 2), (cup, 2)]
        assert quantities(await cart.set_quantity(owner, pot, 0)) == [(cup, 2)]

    @pytest.mark.behaviour("cart-1")
    async def test_what_is_sold_in_another_currency_now_cannot_be_bought(self, cart: Cart, catalog: Catalog) -> None:
        stall, owner = await Stall.open(catalog), account()
        [pot] = stall.ids
        await add(cart, owner, pot, 2)
        await stall.reprice(pot, 1200, "USD")
        view = await cart.get_cart(owner)
        assert (problems(view), view.subtotal) == ([("unavailable", pot)], Money(0, "EUR"))

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_order_is_of_the_lines(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup), owner = (await Stall.open(catalog, 2)).ids, account()
        assert await cart.get_lines(owner) is None
        await add(cart, owner, cup, 2)
        view = await add(cart, owner, pot)
        found = await cart.get_lines(owner)
        assert found is not None and found.cart_id == view.id
        assert found.lines == as_lines((cup, 2), (pot, 1))
        await cart.set_quantity(owner, pot, 0)
        await cart.set_quantity(owner, cup, 0)
        assert await cart.get_lines(owner) is None
        guest = await add(cart, CartOwner(), pot)
        found = await cart.get_lines(guest_of(guest))
        assert found is not None and (found.cart_id, found.lines) == (guest.id, as_lines((pot, 1)))

    @pytest.mark.behaviour("cart-4")
    async def test_what_was_bought_leaves_once_and_nothing_else(self, cart: Cart, catalog: Catalog) -> None:
        (pot, cup, jug), owner = (await Stall.open(catalog, 3)).ids, account()
        await fill(cart, owner, [cup, pot], 2)
        found = await cart.get_lines(owner)
        assert found is not None
        await add(cart, owner, cup, 5)  # while the order is under way
        await add(cart, owner, jug)
        order = new_id()
        for _ in range(3):
            await cart.remove_bought(found.cart_id, order, [*found.lines, *as_lines((new_id(), 1))])
            assert quantities(await cart.get_cart(owner)) == [(cup, 5), (jug, 1)]
        await add(cart, owner, pot, 2)
        await cart.remove_bought(found.cart_id, order, found.lines)  # late
        assert quantities(await cart.get_cart(owner)) == [(cup, 5), (jug, 1), (pot, 2)]
        await cart.remove_bought(found.cart_id, new_id(), as_lines((cup, 9), (jug, 1), (pot, 2)))
        assert (await cart.get_cart(owner)).items == []
        await cart.remove_bought(found.cart_id, new_id(), as_lines((cup, 1)))
        await cart.remove_bought(new_id(), new_id(), as_lines((cup, 1)))

    @pytest.mark.behaviour("cart-4")
    async def test_what_was_bought_comes_back_once(self, cart: Cart, catalog: Catalog) -> None:
        """What it took out, and not what it was asked to."""
        (pot, cup), owner = (await Stall.open(catalog, 2)).ids, account()
        await fill(cart, owner, [pot, cup], 2)
        view, order, bought = await cart.get_cart(owner), new_id(), as_lines((pot, 5), (cup, 1))
        await cart.remove_bought(view.id, order, bought)
        assert quantities(await add(cart, owner, cup, 3)) == [(cup, 4)]
        for _ in range(2):
            await cart.put_back(view.id, order, bought)
            assert sorted(quantities(await cart.get_cart(owner))) == sorted([(pot, 2), (cup, 5)])
        await cart.remove_bought(view.id, order, bought)  # late: the order has been given up
        await cart.put_back(view.id, other := new_id(), bought)
        await cart.remove_bought(view.id, other, bought)
        assert (await cart.get_cart(owner)).quantity == 7

    @pytest.mark.behaviour("cart-4")
    async def test_what_comes_back_keeps_to_limits_and_currency(self, cart: Cart, catalog: Catalog) -> None:
        [pot], [cup] = (await Stall.open(catalog)).ids, (await Stall.open(catalog, currency="USD")).ids
        owner, most = account(), self.quantity_limit
        view = await add(cart, owner, pot, 2)
        await cart.remove_bought(view.id, first := new_id(), as_lines((pot, 2)))
        await add(cart, owner, pot, most - 1)
        await cart.put_back(view.id, first, as_lines((pot, 2)))
        assert quantities(await cart.get_cart(owner)) == [(pot, most)]
        await cart.remove_bought(view.id, second := new_id(), as_lines((pot, most)))
        await add(cart, owner, cup)
        await cart.put_back(view.id, second, as_lines((pot, most)))
        assert quantities(await cart.get_cart(owner)) == [(cup, 1)]

    # ── cost ─────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("cart-3")
    async def test_the_60th_line_costs_what_the_first_did(
        self, cart: Cart, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In requests to servers, whichever: the catalogue's are among them."""
        ids, owner = (await Stall.open(catalog, 60)).ids, account()
        await add(cart, owner, ids[0])  # what is prepared once
        await cart.set_quantity(owner, ids[0], 0)
        trips = _count_trips(monkeypatch)
        costs = set()
        for number, variant_id in enumerate(ids):
            before = trips[0]
            assert len((await add(cart, owner, variant_id)).items) == number + 1
            costs.add(trips[0] - before)
        assert len(costs) == 1, costs


def _count_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests have gone to PostgreSQL and to Redis from now on."""
    trips = [0]

    def counted(real: Any) -> Any:
        async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            trips[0] += 1
            return await real(self, *args, **kwargs)

        return run

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted(AbstractConnection.send_packed_command))
    monkeypatch.setattr(Connection, "_ask", counted(Connection._ask))
    return trips
