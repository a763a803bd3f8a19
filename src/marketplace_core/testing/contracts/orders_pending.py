"""What orders promise as long as they are pending: a way out for their buyer, and one of them per cart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner
from marketplace_core.capabilities.catalog import (
    Catalog,
    LineRequest,
    MoneyInput,
    ProductDraft,
    SellerRef,
    VariantDraft,
)
from marketplace_core.capabilities.orders import CancelItem, Order, Orders, PaymentAction, PaymentView, PlacedOrder, PlaceOrder
from marketplace_core.capabilities.payments import PaymentChanged
from marketplace_core.errors import Conflict, Failure, MarketplaceError
from marketplace_core.events import Event
from marketplace_core.testing.contracts import refused
from marketplace_core.values import LARGEST_AMOUNT, Address, Money, new_id

__all__ = ["ADDRESS", "PRICE", "CartOrdersContract", "PendingRules", "action", "available", "draft", "list_variants"]

ADDRESS = Address(name="Ada Buyer", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE", phone="+49 1")
PRICE = 1005


async def list_variants(
    catalog: Catalog, seller: SellerRef, count: int, *, stock: int = 20, price: int = PRICE, currency: str = "EUR"
) -> list[str]:
    """The ids of so many variants of a new published product."""
    await catalog.set_seller(seller, True, 1)
    name = new_id()[-8:]
    variants = tuple(
        VariantDraft(sku=f"{name}-{n}", price=MoneyInput(price, currency), stock=stock, options={"size": str(n)})
        for n in range(count)
    )
    product = await catalog.create_product(seller.id, ProductDraft(title="Tea pot", variants=variants))
    await catalog.publish_product(seller.id, product.id)
    return [variant.id for variant in product.variants]


def draft(variants: list[str], *, units: int = 1, total: int | None = None, account_id: str | None = None) -> PlaceOrder:
    """So many units of each, for a guest or for an account."""
    return PlaceOrder(
        owner=CartOwner(account_id),
        address=ADDRESS,
        email="ada@example.org",
        payment=None,
        expected_total=Money(PRICE * units * len(variants) if total is None else total, "EUR"),
        lines=tuple(LineRequest(id_, units) for id_ in variants),
    )


async def available(catalog: Catalog, variants: list[str]) -> list[int]:
    found = {view.id: view.available for view in await catalog.get_variants(variants)}
    return [found[id_] for id_ in variants]


class PendingRules:
    """A part of :class:`OrdersContract`."""

    @pytest.mark.behaviour("cart-8")
    @pytest.mark.behaviour("orders-3")
    async def test_a_pending_order_can_be_cancelled(self, orders: Orders, catalog: Catalog) -> None:
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1)
        for by in ("buyer", "admin"):
            placed = await orders.place(draft(variants, units=20))
            assert await available(catalog, variants) == [0]
            if by == "buyer":
                await orders.cancel(placed.id, None, placed.token, None, "changed my mind")
            else:
                await orders.cancel_by_operator(placed.id, None, "fraud")
            assert await available(catalog, variants) == [20]  # by then it is free
            [found] = await orders.get_orders([placed.id])
            assert (found.status, found.number, found.packages[0].items[0].cancelled) == ("cancelled", None, 20)
            assert (found.timeline[-1].type, found.timeline[-1].actor) == ("orders.cancelled", by)
            assert (found.failure is None) == (by == "buyer")
            await orders.confirm(placed.id)
            await orders.fail(placed.id, Failure("orders.out_of_stock"))  # as its checkout does, which ends now
            assert await orders.get_orders([placed.id]) == [found]
            await refused("orders.not_cancellable", orders.cancel_by_operator(placed.id, None, ""))

    async def test_a_pending_order_is_cancelled_as_a_whole(self, orders: Orders, catalog: Catalog) -> None:
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 2)
        placed = await orders.place(draft(variants, units=2))
        first, second = (line.id for line in placed.packages[0].items)
        for items in ([CancelItem(first, 2)], [CancelItem(first, 2), CancelItem(second, 1)]):
            await refused("orders.not_cancellable", orders.cancel(placed.id, None, placed.token, items, ""))
        whole = [CancelItem(first, 2), CancelItem(second, 2)]
        assert (await orders.cancel(placed.id, None, placed.token, whole, "")).status == "cancelled"

    @pytest.mark.behaviour("cart-8")
    async def test_unpaid_orders_are_bounded(self, orders: Orders, catalog: Catalog) -> None:
        """Of an account, and of guests of one address; where nobody is known the edge has to."""
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1, stock=1000)
        for account, address in (("ada", None), (None, "address:192.0.2.1")):
            placed = await self._as_many_as_may_be(orders, draft(variants, account_id=account), address)
            assert 1 < len(placed) < 100
            assert await available(catalog, variants) == [1000 - len(placed)]
            await orders.cancel_by_operator(placed[0].id, None, "")
            await orders.confirm(placed[1].id)
            assert len(await self._as_many_as_may_be(orders, draft(variants, account_id=account), address)) == 2
            for order in placed[1:]:
                await orders.cancel_by_operator(order.id, None, "")
            with calls.scope(calls.Call(address="address:192.0.2.2")):
                await orders.place(draft(variants, account_id="bob"))
            variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1, stock=1000)

    async def test_one_unit_at_the_highest_price_can_be_bought(self, orders: Orders, catalog: Catalog) -> None:
        seller = SellerRef(new_id(), "Kettle")
        variants = await list_variants(catalog, seller, 1, price=LARGEST_AMOUNT)
        placed = await orders.place(draft(variants, total=LARGEST_AMOUNT))
        assert placed.total == placed.packages[0].total == Money(LARGEST_AMOUNT, "EUR")
        await refused("cart.quantity_limit", orders.place(draft(variants, units=2, total=2 * LARGEST_AMOUNT)))
        assert await available(catalog, variants) == [19]

    async def _as_many_as_may_be(self, orders: Orders, wanted: PlaceOrder, address: str | None) -> list[PlacedOrder]:
        placed: list[PlacedOrder] = []
        with calls.scope(calls.Call(address=address)):
            while len(placed) < 100:
                try:
                    placed.append(await orders.place(wanted))
                except MarketplaceError as error:
                    assert error.code == "http.rate_limited" and error.retry_after
                    break
        return placed

    @pytest.mark.behaviour("cart-8")
    async def test_held_units_are_bounded(self, orders: Orders, catalog: Catalog) -> None:
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1, stock=2_000_000)
        await refused("cart.quantity_limit", orders.place(draft(variants, units=1_000_000)))
        units = 10_000
        first = await orders.place(draft(variants, units=units, account_id="ada"))
        await refused("http.rate_limited", orders.place(draft(variants, units=units, account_id="ada")))
        assert await available(catalog, variants) == [2_000_000 - units]
        await orders.cancel_by_operator(first.id, None, "")
        await orders.place(draft(variants, units=units, account_id="ada"))


Tell = Callable[[Event], Awaitable[object]]


class CartOrdersContract:
    """One cart, one order. Fixtures: ``orders``, ``cart`` and ``catalog`` of one deployment without payments, where no saga
    runs; ``tell`` gives an event to the provider's handler."""

    @pytest.mark.behaviour("cart-8")
    async def test_a_cart_that_is_being_ordered_is_not_ordered_again(
        self, orders: Orders, catalog: Catalog, cart: Cart
    ) -> None:
        variants, wanted = await self._filled(catalog, cart, stock=20)
        answers = await asyncio.gather(*(self._place(orders, wanted) for _ in range(8)))
        [placed] = [answer for answer in answers if isinstance(answer, Order)]
        again = await self._place(orders, wanted)
        for answer in [*(each for each in answers if each is not placed), again]:
            assert isinstance(answer, Conflict)
            assert (answer.code, answer.location) == ("orders.in_progress", f"/orders/{placed.id}")
        assert await available(catalog, variants) == [19]
        await orders.fail(placed.id, Failure("payments.declined"))
        assert isinstance(await self._place(orders, wanted), Order)

    @pytest.mark.behaviour("cart-8")
    async def test_who_has_the_last_unit_is_told_where_it_is(self, orders: Orders, catalog: Catalog, cart: Cart) -> None:
        _, wanted = await self._filled(catalog, cart, stock=1)
        placed = await self._place(orders, wanted)
        assert isinstance(placed, Order)
        again = await self._place(orders, wanted)
        assert isinstance(again, Conflict) and again.location == f"/orders/{placed.id}"

    @pytest.mark.behaviour("cart-8")
    async def test_one_that_waits_for_its_payer_gives_way(
        self, orders: Orders, catalog: Catalog, cart: Cart, tell: Tell
    ) -> None:
        variants, wanted = await self._filled(catalog, cart, stock=1)
        first = await self._place(orders, wanted)
        assert isinstance(first, Order)
        await tell(action(first))
        second = await self._place(orders, wanted)  # the last unit passes over
        assert isinstance(second, Order)
        [found] = await orders.get_orders([first.id])
        assert found.failure is not None and (found.status, found.failure.code) == ("failed", "orders.superseded")
        assert found.timeline[-1].type == "orders.failed"
        assert await available(catalog, variants) == [0]

    @pytest.mark.behaviour("cart-8")
    async def test_an_attempt_that_is_refused_supersedes_nothing(
        self, orders: Orders, catalog: Catalog, cart: Cart, tell: Tell
    ) -> None:
        variants, wanted = await self._filled(catalog, cart, stock=1)
        first = await self._place(orders, wanted)
        assert isinstance(first, Order)
        await tell(action(first))
        _, wrong = (
            wanted,
            PlaceOrder(owner=wanted.owner, address=ADDRESS, email="a@x.org", payment=None, expected_total=_cents(1)),
        )
        answer = await self._place(orders, wrong)
        assert isinstance(answer, Conflict) and answer.code == "cart.changed"
        assert [order.status for order in await orders.get_orders([first.id])] == ["pending"]
        assert await available(catalog, variants) == [0]  # it is held as it was

    async def _filled(self, catalog: Catalog, cart: Cart, *, stock: int) -> tuple[list[str], PlaceOrder]:
        """A guest's cart with one unit, and the order for it."""
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1, stock=stock)
        owner = CartOwner(token=(await cart.get_cart(CartOwner())).token)
        await cart.add_item(owner, AddItem(variants[0]))
        wanted = PlaceOrder(owner=owner, address=ADDRESS, email="ada@example.org", payment=None, expected_total=_cents(PRICE))
        return variants, wanted

    async def _place(self, orders: Orders, wanted: PlaceOrder) -> PlacedOrder | MarketplaceError:
        with calls.scope(calls.Call(key=new_id())):
            try:
                return await orders.place(wanted)
            except MarketplaceError as error:
                return error


def _cents(amount: int) -> Money:
    return Money(amount, "EUR")


def action(order: Order) -> PaymentChanged:
    """Its payer has to act."""
    zero = Money.zero(order.total.currency)
    action = PaymentAction("redirect", "https://bank.example/", order.created_at)
    payment = PaymentView(
        id="p1", gateway="card", status="requires_action", authorized=zero, captured=zero, refunded=zero, action=action
    )
    return PaymentChanged(order_id=order.id, payment=payment)
