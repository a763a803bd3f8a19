"""After an order is confirmed: cancelling, shipping, what others tell of it, and its end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from marketplace_core.capabilities.logistics import ShipmentChanged
from marketplace_core.capabilities.orders import CancelItem, PackageQuery, PaymentView, ShipRequest
from marketplace_core.capabilities.payments import PaymentChanged, PaymentSettled
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts.orders import ADDRESS, PRICE
from marketplace_core.values import Money, new_id

DAY = 86_400.0


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def payment(status: str, captured: int = 0) -> PaymentView:
    return PaymentView(
        id="p1",
        gateway="simulator",
        status=status,  # type: ignore[arg-type]
        authorized=eur(PRICE),
        captured=eur(captured),
        refunded=eur(0),
    )


# ── cancelling and shipping ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("orders-3")
async def test_events_say_what_is_captured_and_what_is_not(bench: Any) -> None:
    order = await bench.confirmed(await bench.stock(2), units=3)
    package = order.packages[0]
    first, second = (line.id for line in package.items)
    await bench.orders.cancel_by_operator(order.id, [CancelItem(first, 1)], "")
    shipped = ShipRequest(items=(CancelItem(first, 2), CancelItem(second, 1)), carrier="dhl", tracking_number="X1")
    shipment = await bench.orders.ship(package.seller.id, package.id, shipped)
    await bench.orders.decline(package.seller.id, package.id, None, "broken")

    [one, rest], [parcel] = await bench.events("orders.items_cancelled"), await bench.events("orders.package_shipped")
    total = {"currency": "EUR", "amount": PRICE}
    assert [(line["item_id"], line["quantity"], line["total"]) for line in one["lines"]] == [(first, 1, total)]
    assert (one["amount"], one["remaining"]) == (total, {"currency": "EUR", "amount": 5 * PRICE})
    assert (parcel["amount"]["amount"], parcel["remaining"]["amount"]) == (3 * PRICE, 2 * PRICE)
    assert [(line["quantity"], line["total"]["amount"]) for line in parcel["lines"]] == [(2, 2 * PRICE), (1, PRICE)]
    assert parcel["shipment_id"] == shipment.id and parcel["tracking_token"] == shipment.tracking_token
    assert (parcel["carrier"], parcel["tracking_number"], parcel["weight_g"]) == ("dhl", "X1", 1500)
    assert parcel["address"]["line1"] == ADDRESS.line1
    assert (rest["amount"]["amount"], rest["remaining"]["amount"]) == (2 * PRICE, 0)
    assert (await bench.now(order)).status == "shipped"


@pytest.mark.behaviour("orders-3")
async def test_cancelled_units_come_back(working: Any) -> None:
    variants = await working.stock(2, stock=5)
    placed = await working.place(variants, units=4)
    await working.market.settle()
    await working.orders.cancel(placed.id, None, placed.token, [CancelItem(placed.packages[0].items[0].id, 3)], "")
    await working.market.settle()
    assert await working.available(variants) == [4, 1]
    await working.orders.cancel(placed.id, None, placed.token, None, "")
    await working.market.settle()
    assert await working.available(variants) == [5, 5]


async def test_an_item_of_another_order_is_not_there(bench: Any) -> None:
    variants = await bench.stock()
    order, other = await bench.confirmed(variants), await bench.confirmed(variants)
    foreign = CancelItem(other.packages[0].items[0].id, 1)
    package = order.packages[0]
    for act in (
        lambda: bench.orders.cancel_by_operator(order.id, [foreign], ""),
        lambda: bench.orders.decline(package.seller.id, package.id, [foreign], ""),
        lambda: bench.orders.ship(package.seller.id, package.id, ShipRequest(items=(foreign,))),
    ):
        with pytest.raises(NotFound):
            await act()
    assert (await bench.now(order)) == order


@pytest.mark.behaviour("orders-4")
async def test_packages_are_listed_by_what_has_changed(bench: Any) -> None:
    variants = await bench.stock()
    orders = [await bench.confirmed(variants) for _ in range(3)]
    first = orders[0].packages[0]
    before = (await bench.orders.get_package(first.seller.id, first.id)).updated_at
    await bench.orders.ship(first.seller.id, first.id, ShipRequest())

    async def listed(**options: object) -> list[str]:
        query = PackageQuery(limit=2, **options)  # type: ignore[arg-type]
        page = await bench.orders.list_packages(first.seller.id, query)
        seen = list(page.items)
        while page.next is not None:
            page = await bench.orders.list_packages(first.seller.id, PackageQuery(limit=2, cursor=page.next, **options))  # type: ignore[arg-type]
            seen += page.items
        return [package.order_id for package in seen]

    ids = [order.id for order in orders]
    assert await listed() == ids[::-1]
    assert await listed(sort="updated") == [ids[1], ids[2], ids[0]]
    assert await listed(status="shipped") == [ids[0]]
    assert await listed(status="confirmed") == [ids[2], ids[1]]
    assert await listed(updated_after=before) == [ids[2], ids[1], ids[0]]
    assert await listed(created_after=orders[1].created_at) == [ids[2]]


async def test_a_walk_by_changes_misses_none(bench: Any) -> None:
    variants = await bench.stock()
    orders = [await bench.confirmed(variants) for _ in range(4)]
    seller, seen, cursor = orders[0].packages[0].seller.id, list[str](), None
    for order in orders[1:]:  # while it is walked, one after the other that was not seen yet is changed
        page = await bench.orders.list_packages(seller, PackageQuery(sort="updated", limit=1, cursor=cursor))
        seen, cursor = seen + [package.order_id for package in page.items], page.next
        await bench.orders.cancel_by_operator(order.id, None, "")
    while cursor is not None:
        page = await bench.orders.list_packages(seller, PackageQuery(sort="updated", limit=1, cursor=cursor))
        seen, cursor = seen + [package.order_id for package in page.items], page.next
    assert set(seen) == {order.id for order in orders}


# ── what logistics tells ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("logistics-2")
async def test_an_order_is_delivered_and_completed(working: Any) -> None:
    placed = await working.place(await working.stock())
    await working.market.settle()
    package = placed.packages[0]
    shipment = await working.orders.ship(package.seller.id, package.id, ShipRequest())
    for status, expected in (("label_created", "shipped"), ("in_transit", "shipped"), ("delivered", "delivered")):
        assert await working.track(placed, shipment, status)
        assert (await working.now(placed)).status == expected
    order = await working.now(placed)
    assert order.packages[0].shipments[0].tracking_number == "T1"
    assert [(entry.type, entry.actor) for entry in order.timeline][-3:] == [
        ("shipment.label_created", "carrier"),
        ("shipment.in_transit", "carrier"),
        ("shipment.delivered", "carrier"),
    ]
    assert await working.events("orders.package_delivered") == [
        {"order_id": placed.id, "package_id": package.id, "seller_id": package.seller.id}
    ]

    await working.market.clock.advance(13 * DAY)
    await working.market.settle()
    assert (await working.now(placed)).status == "delivered"
    await working.track(placed, shipment, "exception")  # too late to change anything, or to put the end off
    await working.market.clock.advance(1 * DAY + 120)
    await working.market.settle()
    order = await working.now(placed)
    assert (order.status, order.packages[0].status) == ("completed", "completed")
    assert await working.events("orders.completed") == [{"order_id": placed.id}]
    assert order.timeline[-1].type == "orders.completed"
    found = await working.orders.get_package(package.seller.id, package.id)
    assert (found.address.name, found.address.phone) == ("-", "")


async def test_what_is_told_twice_or_of_nothing_changes_nothing(bench: Any) -> None:
    order = await bench.confirmed(await bench.stock())
    package = order.packages[0]
    shipment = await bench.orders.ship(package.seller.id, package.id, ShipRequest())
    assert await bench.track(order, shipment, "delivered", sequence=2)
    before = await bench.now(order)
    assert not await bench.track(order, shipment, "delivered", sequence=2)
    assert not await bench.track(order, shipment, "in_transit", sequence=1)
    assert await bench.now(order) == before
    for order_id, package_id in ((new_id(), package.id), (order.id, new_id())):
        heard = ShipmentChanged(shipment_id=new_id(), order_id=order_id, package_id=package_id, shipment=shipment)
        assert await bench.hear(heard)
    assert await bench.now(order) == before
    assert await bench.hear(PaymentChanged(order_id=new_id(), payment=payment("voided")))
    assert len(await bench.events("orders.package_delivered")) == 1


async def test_what_a_carrier_brings_back_is_told_once_with_what_was_in_it(bench: Any) -> None:
    """Parcels of 1, 1 and 2 of 4 units, the last of which does arrive at first."""
    order = await bench.confirmed(await bench.stock(), units=4)
    package = order.packages[0]
    item = package.items[0].id
    parcels = []
    for units in (1, 1, 2):
        request = ShipRequest(items=(CancelItem(item, units),))
        parcels.append(await bench.orders.ship(package.seller.id, package.id, request))
    await bench.track(order, parcels[0], "returned")
    await bench.track(order, parcels[0], "returned")
    await bench.track(order, parcels[2], "delivered")
    await bench.track(order, parcels[2], "returned")
    told = await bench.events("orders.items_returned")
    assert [(one["reason"], one["lines"][0]["item_id"], one["lines"][0]["quantity"]) for one in told] == [
        ("undelivered", item, 1),
        ("sent_back", item, 2),
    ]
    value = package.items[0].total.amount
    assert sum(one["lines"][0]["total"]["amount"] for one in told) == value * 3 // 4
    assert all(one["refund"] == {"amount": 0, "currency": "EUR"} for one in told)
    assert (await bench.now(order)).packages[0].items[0].returned == 3


async def test_what_is_cancelled_can_be_all_that_had_not_arrived(bench: Any) -> None:
    """One unit has arrived, the other is cancelled: the package is delivered by that, and the order ends."""
    order = await bench.confirmed(await bench.stock(), units=2)
    package = order.packages[0]
    some = ShipRequest(items=(CancelItem(package.items[0].id, 1),))
    shipment = await bench.orders.ship(package.seller.id, package.id, some)
    await bench.track(order, shipment, "delivered")
    assert (await bench.now(order)).status == "partially_shipped"
    assert await bench.events("orders.package_delivered") == []
    await bench.orders.decline(package.seller.id, package.id, None, "sold out")
    assert (await bench.now(order)).status == "delivered"
    assert len(await bench.events("orders.package_delivered")) == 1
    await bench.market.clock.advance(14 * DAY + 60)
    await bench.service.complete_delivered()
    assert (await bench.now(order)).status == "completed"


async def test_many_orders_are_completed_at_once(bench: Any) -> None:
    variants = await bench.stock()
    orders = [await bench.confirmed(variants) for _ in range(3)]
    for order in orders:
        package = order.packages[0]
        shipment = await bench.orders.ship(package.seller.id, package.id, ShipRequest())
        await bench.track(order, shipment, "delivered")
    await bench.service.complete_delivered()
    assert await bench.events("orders.completed") == []
    await bench.market.clock.advance(14 * DAY + 60)
    await bench.service.complete_delivered()
    await bench.service.complete_delivered()
    assert sorted(event["order_id"] for event in await bench.events("orders.completed")) == [order.id for order in orders]


# ── what payments tells ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_payment_is_shown_as_it_was_told_last(bench: Any) -> None:
    placed = await bench.place(await bench.stock())
    views = [payment("requires_action"), payment("requires_action"), payment("partially_captured", 1), payment("voided")]
    for view in views:
        assert await bench.hear(PaymentChanged(order_id=placed.id, payment=view))
    order = await bench.now(placed)
    assert order.payment == views[-1] and order.status == "pending"
    assert [entry.type for entry in order.timeline] == [
        "orders.placed",
        "payments.requires_action",
        "payments.partially_captured",
        "payments.voided",
    ]
    assert not await bench.hear(PaymentChanged(order_id=placed.id, payment=views[0]), sequence=1)
    assert await bench.now(placed) == order
    assert order.updated_at - placed.updated_at > timedelta()


async def test_what_is_authorized_at_once_comes_with_the_confirmation(bench: Any) -> None:
    placed = await bench.place(await bench.stock())
    assert not await bench.hear(PaymentChanged(order_id=placed.id, payment=payment("authorized")))
    assert (await bench.now(placed)).payment is None
    await bench.orders.confirm(placed.id, payment("authorized"))
    order = await bench.now(placed)
    assert (order.status, order.payment) == ("confirmed", payment("authorized"))
    assert [entry.type for entry in order.timeline] == ["orders.placed", "payments.authorized", "orders.confirmed"]


async def test_what_somebody_acted_for_is_shown_before_the_confirmation(bench: Any) -> None:
    placed = await bench.place(await bench.stock())
    await bench.hear(PaymentChanged(order_id=placed.id, payment=payment("requires_action")))
    assert await bench.hear(PaymentSettled(order_id=placed.id, payment=payment("authorized")))
    assert (await bench.now(placed)).payment == payment("authorized")
    assert not await bench.hear(PaymentSettled(order_id=placed.id, payment=payment("failed"), failure="payments.declined"))


@pytest.mark.parametrize("late", ["pending", "requires_action"])
async def test_a_payment_that_is_told_late_does_not_go_back(bench: Any, late: str) -> None:
    """The confirmation and the events come by two ways, and the slower one may be that of the events."""
    placed = await bench.place(await bench.stock())
    await bench.orders.confirm(placed.id, payment("authorized"))
    before = await bench.now(placed)
    assert await bench.hear(PaymentChanged(order_id=placed.id, payment=payment(late)))
    assert await bench.now(placed) == before


async def test_a_confirmation_does_not_take_back_what_was_told(bench: Any) -> None:
    placed = await bench.place(await bench.stock())
    await bench.hear(PaymentChanged(order_id=placed.id, payment=payment("voided")))
    await bench.orders.confirm(placed.id, payment("authorized"))
    assert (await bench.now(placed)).payment == payment("voided")


@pytest.mark.behaviour("all-8", "all-11")
async def test_who_waits_for_a_change_does_not_ask_meanwhile(bench: Any) -> None:
    """He is told, and looks at the order when he comes, when it changes, and when his time is over."""
    placed = await bench.place(await bench.stock())
    looks = 0
    get = bench.service._store.get

    async def counted(ids: Any) -> Any:
        nonlocal looks
        looks += 1
        return await get(ids)

    bench.service._store.get = counted
    waiting = asyncio.create_task(bench.service.wait_for_change(placed.id, None, placed.token, 1, 20.0))
    await asyncio.sleep(1.0)
    assert looks <= 2
    await bench.orders.confirm(placed.id)
    assert (await asyncio.wait_for(waiting, 5)).status == "confirmed"
    assert looks <= 4
