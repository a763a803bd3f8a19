"""What a provider of :class:`~marketplace_core.capabilities.orders.Orders` must do, on its port alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.cart import CartOwner
from marketplace_core.capabilities.catalog import (
    Catalog,
    LineRequest,
    MoneyInput,
    PriceRow,
    ProductPatch,
    SellerRef,
)
from marketplace_core.capabilities.orders import (
    AdminOrderQuery,
    CancelItem,
    Order,
    OrderQuery,
    Orders,
    PackageQuery,
    PaymentStatus,
    PaymentView,
    PlacedOrder,
    PlaceOrder,
    ShipRequest,
)
from marketplace_core.errors import BadCursor, Conflict, Failure, MarketplaceError, NotFound
from marketplace_core.testing.contracts.orders_pending import (
    ADDRESS,
    PRICE,
    CartOrdersContract,
    PendingRules,
    available,
    draft,
    list_variants,
)
from marketplace_core.values import Money, new_id

__all__ = ["ADDRESS", "CartOrdersContract", "OrdersContract", "draft", "list_variants"]


def _paid(status: PaymentStatus, total: Money) -> PaymentView:
    zero = Money.zero(total.currency)
    return PaymentView(id="p1", gateway="card", status=status, authorized=total, captured=zero, refunded=zero)


class OrdersContract(PendingRules):
    """Fixtures: ``orders`` and ``catalog``, of one deployment without cart, sellers, payments and logistics.

    No saga runs: the suite confirms and fails by itself.
    """

    # ── placing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_lines_stay_as_they_were_bought(self, orders: Orders, catalog: Catalog) -> None:
        seller = SellerRef(new_id(), "Kettle")
        variants = await list_variants(catalog, seller, 1)
        placed = await orders.place(draft(variants))
        line = placed.packages[0].items[0]
        assert (line.title, line.unit_price, line.quantity) == ("Tea pot", Money(PRICE, "EUR"), 1)
        await catalog.set_prices(seller.id, [PriceRow(line.sku, MoneyInput(9999, "EUR"))])
        await catalog.update_product(seller.id, line.product_id, ProductPatch(title="Samovar"), None)
        [found] = await orders.get_orders([placed.id])
        assert found.packages[0].items == [line]

    async def test_packages_add_up_to_the_order(self, orders: Orders, catalog: Catalog) -> None:
        sellers = [SellerRef(new_id(), name) for name in ("Kettle", "Lamp")]
        variants = [id_ for seller in sellers for id_ in await list_variants(catalog, seller, 2)]
        order = await orders.place(draft(variants, units=3))
        assert [package.seller for package in order.packages] == sellers
        for name in ("subtotal", "discount", "tax", "shipping", "total"):
            assert Money.sum((getattr(one, name) for one in order.packages), "EUR") == getattr(order, name)
        for package in order.packages:
            for name in ("subtotal", "discount", "tax"):
                assert Money.sum((getattr(line, name) for line in package.items), "EUR") == getattr(package, name)
        assert order.total == Money(PRICE * 12, "EUR")

    async def test_one_key_is_one_order(self, orders: Orders, catalog: Catalog) -> None:
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1)
        with calls.scope(calls.Call(key="once")):
            first = await orders.place(draft(variants))
            again = await orders.place(draft(variants))
            with pytest.raises(MarketplaceError) as error:
                await orders.place(draft(variants, units=2))
        assert again == first and first.token
        assert error.value.code == "idempotency_key_reused"
        assert await available(catalog, variants) == [19]

    async def test_another_total_is_refused_and_holds_nothing(self, orders: Orders, catalog: Catalog) -> None:
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1)
        for total in (Money(PRICE - 1, "EUR"), Money(PRICE, "USD")):
            request = PlaceOrder(
                owner=CartOwner(),
                address=ADDRESS,
                email="a@example.org",
                payment=None,
                expected_total=total,
                lines=(LineRequest(variants[0], 1),),
            )
            with calls.scope(calls.Call(key=new_id())):
                for _ in range(2):  # the refusal is kept
                    with pytest.raises(Conflict) as error:
                        await orders.place(request)
            assert error.value.code == "cart.changed"
            assert [problem.pointer for problem in error.value.errors] == ["/expected_total"]
        assert await available(catalog, variants) == [20]

    async def test_too_many_units_are_refused_by_line(self, orders: Orders, catalog: Catalog) -> None:
        seller = SellerRef(new_id(), "Kettle")
        variants = [*await list_variants(catalog, seller, 1), *await list_variants(catalog, seller, 1, stock=4)]
        with pytest.raises(Conflict) as error:
            await orders.place(draft(variants, units=5))
        assert error.value.code == "orders.out_of_stock"
        assert [problem.pointer for problem in error.value.errors] == ["/lines/1"]
        assert await available(catalog, variants) == [20, 4]

    async def test_nothing_to_buy_is_refused(self, orders: Orders) -> None:
        with pytest.raises(Conflict) as error:
            await orders.place(draft([]))
        assert error.value.code == "cart.empty"

    # ── confirming and failing ───────────────────────────────────────────────────────────────────────────────

    async def test_a_number_comes_with_the_confirmation(self, orders: Orders, catalog: Catalog) -> None:
        placed = await self._placed(orders, catalog)
        assert (placed.status, placed.number, placed.packages[0].number) == ("pending", None, None)
        await orders.confirm(placed.id)
        [first] = await orders.get_orders([placed.id])
        await orders.confirm(placed.id)
        await orders.fail(placed.id, Failure("payments.declined"))
        assert await orders.get_orders([placed.id]) == [first]
        assert first.status == first.packages[0].status == "confirmed"
        assert first.number and first.packages[0].number

    async def test_the_payment_comes_with_the_confirmation(self, orders: Orders, catalog: Catalog) -> None:
        placed = await self._placed(orders, catalog)
        paid = _paid("authorized", placed.total)
        await orders.confirm(placed.id, paid)
        await orders.confirm(placed.id, _paid("requires_action", placed.total))
        [found] = await orders.get_orders([placed.id])
        assert found.payment == paid
        assert [entry.type for entry in found.timeline] == ["orders.placed", "payments.authorized", "orders.confirmed"]

    async def test_numbers_have_no_gaps(self, orders: Orders, catalog: Catalog) -> None:
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1)
        placed = [(await orders.place(draft(variants))).id for _ in range(9)]
        failed, confirmed = placed[::3], [id_ for id_ in placed if id_ not in placed[::3]]
        await asyncio.gather(
            *(orders.fail(id_, Failure("payments.declined")) for id_ in failed), *(orders.confirm(id_) for id_ in confirmed)
        )
        found = {order.id: order for order in await orders.get_orders(placed)}
        assert [found[id_].number for id_ in failed] == [None] * 3
        numbers = sorted(int(found[id_].number or 0) for id_ in confirmed)
        assert numbers == list(range(numbers[0], numbers[0] + 6))

    async def test_a_failed_order_says_why(self, orders: Orders, catalog: Catalog) -> None:
        placed = await self._placed(orders, catalog)
        for _ in range(2):
            await orders.fail(placed.id, Failure("payments.declined", "The card was declined."))
        await orders.confirm(placed.id)
        [found] = await orders.get_orders([placed.id])
        assert found.status == "failed" and found.number is None
        assert found.failure is not None and found.failure.code == "payments.declined"
        assert [entry.type for entry in found.timeline] == ["orders.placed", "orders.failed"]

    # ── who sees what ────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_guest_sees_an_order_by_its_token(self, orders: Orders, catalog: Catalog) -> None:
        first, second = await self._placed(orders, catalog), await self._placed(orders, catalog)
        assert (await orders.get_order(first.id, None, first.token)).id == first.id
        for token in (None, "", second.token, f"{first.token}x", "é"):
            with pytest.raises(NotFound):
                await orders.get_order(first.id, None, token)
            with pytest.raises(NotFound):
                await orders.cancel(first.id, "ada", token, None, "")

    async def test_a_buyer_sees_own_orders(self, orders: Orders, catalog: Catalog) -> None:
        own = await self._placed(orders, catalog, account_id="ada")
        guests = await self._placed(orders, catalog)
        assert own.token is None
        assert (await orders.get_order(own.id, "ada", None)).id == own.id
        assert [order.id for order in (await orders.list_orders("ada", OrderQuery())).items] == [own.id]
        assert (await orders.list_orders("bob", OrderQuery())).items == []
        for account, token in (("bob", None), (None, None), (None, guests.token), ("bob", guests.token)):
            with pytest.raises(NotFound):
                await orders.get_order(own.id, account, token)

    async def test_a_seller_sees_own_packages_once_they_are_confirmed(self, orders: Orders, catalog: Catalog) -> None:
        order = await self._placed(orders, catalog)
        package = order.packages[0]
        assert (await orders.list_packages(package.seller.id, PackageQuery())).items == []
        with pytest.raises(NotFound):
            await orders.get_package(package.seller.id, package.id)
        with pytest.raises(NotFound):
            await orders.ship(package.seller.id, package.id, ShipRequest())
        await orders.confirm(order.id)
        [found] = (await orders.list_packages(package.seller.id, PackageQuery())).items
        assert found == await orders.get_package(package.seller.id, package.id)
        assert (found.order_id, found.address) == (order.id, ADDRESS)

    async def test_another_sellers_package_is_not_there(self, orders: Orders, catalog: Catalog) -> None:
        order = await self._confirmed(orders, catalog)
        package, other = order.packages[0], new_id()
        shipment = await orders.ship(package.seller.id, package.id, ShipRequest())
        assert (await orders.list_packages(other, PackageQuery())).items == []
        for asked in (
            lambda: orders.get_package(other, package.id),
            lambda: orders.ship(other, package.id, ShipRequest()),
            lambda: orders.decline(other, package.id, None, ""),
            lambda: orders.get_shipment(other, shipment.id),
        ):
            with pytest.raises(NotFound):
                await asked()
        assert await orders.get_shipment(package.seller.id, shipment.id) == shipment

    async def test_a_seller_forgets_the_buyer_in_the_end(self, orders: Orders, catalog: Catalog) -> None:
        order = await self._confirmed(orders, catalog)
        package = order.packages[0]
        await orders.cancel_by_operator(order.id, None, "")
        address = (await orders.get_package(package.seller.id, package.id)).address
        assert ADDRESS.name not in address.name and address.phone == ""
        assert address.city == ADDRESS.city

    async def test_pages_go_on_where_they_ended(self, orders: Orders, catalog: Catalog) -> None:
        variants = await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1)
        placed = [(await orders.place(draft(variants, account_id="ada"))).id for _ in range(5)]
        seen: list[str] = []
        cursor = None
        while True:
            page = await orders.list_orders("ada", OrderQuery(limit=2, cursor=cursor))
            assert all(order.timeline == [] for order in page.items)
            seen += [order.id for order in page.items]
            await orders.place(draft(variants, account_id="ada"))  # comes first, and moves nothing
            if page.next is None:
                break
            cursor = page.next
        assert seen == placed[::-1]
        with pytest.raises(BadCursor):
            await orders.list_orders("ada", OrderQuery(limit=2, cursor=cursor, status="pending"))

    async def test_operators_find_orders(self, orders: Orders, catalog: Catalog) -> None:
        order = await self._confirmed(orders, catalog)
        await self._placed(orders, catalog)
        for query in (
            AdminOrderQuery(number=order.number),
            AdminOrderQuery(status="confirmed"),
            AdminOrderQuery(email="ADA@example.org", status="confirmed"),
        ):
            assert [found.id for found in (await orders.search_orders(query)).items] == [order.id]
        assert (await orders.search_orders(AdminOrderQuery(email="bob@example.org"))).items == []

    async def test_a_change_is_waited_for(self, orders: Orders, catalog: Catalog) -> None:
        placed = await self._placed(orders, catalog)
        waiting = asyncio.create_task(orders.wait_for_change(placed.id, None, placed.token, 1, 30.0))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await orders.confirm(placed.id)
        assert (await asyncio.wait_for(waiting, 5)).status == "confirmed"
        assert (await orders.wait_for_change(placed.id, None, placed.token, 2, 0.0)).status == "confirmed"

    # ── cancelling and shipping ──────────────────────────────────────────────────────────────────────────────

    async def test_units_are_cancelled_once(self, orders: Orders, catalog: Catalog) -> None:
        order = await self._confirmed(orders, catalog, units=5)
        item = order.packages[0].items[0].id
        changed = await orders.cancel_by_operator(order.id, [CancelItem(item, 2)], "one too many")
        assert changed.packages[0].items[0].cancelled == 2
        with pytest.raises(Conflict) as error:
            await orders.cancel_by_operator(order.id, [CancelItem(item, 2), CancelItem(item, 2)], "")
        assert error.value.code == "orders.not_cancellable"
        changed = await orders.cancel_by_operator(order.id, None, "")
        assert (changed.status, changed.packages[0].items[0].cancelled) == ("cancelled", 5)
        with pytest.raises(Conflict) as error:
            await orders.cancel_by_operator(order.id, None, "")
        assert error.value.code == "orders.not_cancellable"

    async def test_units_are_shipped_once(self, orders: Orders, catalog: Catalog) -> None:
        order = await self._confirmed(orders, catalog, units=3)
        package = order.packages[0]
        seller, item = package.seller.id, package.items[0].id
        some = ShipRequest(items=(CancelItem(item, 1),))
        with calls.scope(calls.Call(key="parcel")):
            first = await orders.ship(seller, package.id, some)
            assert await orders.ship(seller, package.id, some) == first
        assert (await orders.get_package(seller, package.id)).status == "partially_shipped"
        with pytest.raises(Conflict) as error:
            await orders.ship(seller, package.id, ShipRequest(items=(CancelItem(item, 3),)))
        assert error.value.code == "orders.not_shippable"
        second = await orders.ship(seller, package.id, ShipRequest())
        assert [(one.item_id, one.quantity) for one in second.items] == [(item, 2)]
        assert first.tracking_token != second.tracking_token
        assert (await orders.get_package(seller, package.id)).status == "shipped"
        for act, code in (
            (lambda: orders.ship(seller, package.id, ShipRequest()), "orders.not_shippable"),
            (lambda: orders.decline(seller, package.id, None, ""), "orders.not_cancellable"),
        ):
            with pytest.raises(Conflict) as error:
                await act()
            assert error.value.code == code

    async def test_an_order_is_as_far_as_its_last_package(self, orders: Orders, catalog: Catalog) -> None:
        sellers = [SellerRef(new_id(), name) for name in ("Kettle", "Lamp")]
        variants = [id_ for seller in sellers for id_ in await list_variants(catalog, seller, 1)]
        order = await self._confirm(orders, await orders.place(draft(variants)))
        first, second = order.packages
        await orders.ship(first.seller.id, first.id, ShipRequest())
        assert (await self._now(orders, order)).status == "partially_shipped"
        await orders.decline(second.seller.id, second.id, None, "broken")
        assert (await self._now(orders, order)).status == "shipped"

    async def test_the_timeline_says_who(self, orders: Orders, catalog: Catalog) -> None:
        placed = await self._placed(orders, catalog, units=4)
        await orders.confirm(placed.id)
        package = placed.packages[0]
        some = [CancelItem(package.items[0].id, 1)]
        await orders.cancel(placed.id, None, placed.token, some, "changed my mind")
        await orders.decline(package.seller.id, package.id, some, "broken")
        await orders.cancel_by_operator(placed.id, some, "fraud")
        await orders.ship(package.seller.id, package.id, ShipRequest())
        timeline = (await self._now(orders, placed)).timeline
        assert [(entry.type, entry.actor, entry.detail) for entry in timeline] == [
            ("orders.placed", "buyer", None),
            ("orders.confirmed", "system", None),
            ("orders.items_cancelled", "buyer", "changed my mind"),
            ("orders.items_cancelled", "seller", "broken"),
            ("orders.items_cancelled", "admin", "fraud"),
            ("orders.package_shipped", "seller", None),
        ]
        assert [entry.at for entry in timeline] == sorted(entry.at for entry in timeline)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _placed(self, orders: Orders, catalog: Catalog, **options: Any) -> PlacedOrder:
        """One line of a seller of its own."""
        return await orders.place(draft(await list_variants(catalog, SellerRef(new_id(), "Kettle"), 1), **options))

    async def _confirmed(self, orders: Orders, catalog: Catalog, **options: Any) -> Order:
        return await self._confirm(orders, await self._placed(orders, catalog, **options))

    async def _confirm(self, orders: Orders, placed: Order) -> Order:
        await orders.confirm(placed.id)
        return await self._now(orders, placed)

    async def _now(self, orders: Orders, order: Order) -> Order:
        [found] = await orders.get_orders([order.id])
        return found
