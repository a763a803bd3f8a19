"""What is sent is captured once and never above the authorisation; what is not sent is released."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from marketplace_core.capabilities.orders import ItemsCancelled, PackageShipped
from marketplace_core.capabilities.payments import OperationRequested
from marketplace_core.errors import Conflict, NotFound, Unavailable
from marketplace_core.values import Address, Money, new_id

#: Events are not calls: there is nothing that another runner would do otherwise.
pytestmark = pytest.mark.parametrize("desk", ["local"], indirect=True)

ADDRESS = Address(name="Ada", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")


def shipped(order: str, amount: int, remaining: int, *, shipment: str | None = None, currency: str = "EUR") -> PackageShipped:
    money = lambda units: Money(units, currency)  # noqa: E731
    return PackageShipped(
        order_id=order,
        package_id="package",
        shipment_id=shipment or new_id(),
        seller_id="seller",
        lines=[],
        amount=money(amount),
        commission=money(amount // 10),
        shipping=money(0),
        tax=money(0),
        remaining=money(remaining),
        origin_country="DE",
        carrier="own",
        service="standard",
        tracking_number=None,
        address=ADDRESS,
    )


def cancelled(order: str, amount: int, remaining: int) -> ItemsCancelled:
    return ItemsCancelled(
        order_id=order, package_id="package", lines=[], amount=Money(amount, "EUR"), remaining=Money(remaining, "EUR")
    )


async def happened(desk: Any, event: Any) -> None:
    handler = desk.service.on_package_shipped if isinstance(event, PackageShipped) else desk.service.on_items_cancelled
    await desk.tell(handler.__func__, event)


async def work(desk: Any, order: str) -> None:
    """What the worker does with the operations that were requested, each until it is known."""
    for data in await desk.events("payments.requested", order):
        event = OperationRequested(**data)
        await desk.known(lambda event=event: desk.tell(type(desk.service).on_operation_requested, event))


async def _authorized(desk: Any) -> str:
    order = new_id()
    await desk.authorize(order)
    return order


@pytest.mark.behaviour("payments-1", "payments-5")
async def test_each_shipment_is_captured_once(desk: Any) -> None:
    order = await _authorized(desk)
    first = shipped(order, 600, 400)
    await happened(desk, first)
    await happened(desk, first)
    await work(desk, order)
    await work(desk, order)
    payment = await desk.payment(order)
    assert (payment.status, payment.captured) == ("partially_captured", Money(600, "EUR"))
    await happened(desk, shipped(order, 400, 0))
    await work(desk, order)
    assert (await desk.payment(order)).status == "captured"
    assert await desk.really(order) == [("authorize", 1000), ("capture", 600), ("capture", 400)]
    rows = await desk.gateway.ledger(order)
    assert rows[1]["key"] == first.shipment_id
    facts = await desk.events("payments.captured", order)
    assert [(fact["seller_id"], fact["amount"]["amount"], fact["commission"]["amount"]) for fact in facts] == [
        ("seller", 600, 60),
        ("seller", 400, 40),
    ]
    statuses = [event["payment"]["status"] for event in await desk.events("payments.changed", order)]
    assert statuses == ["authorized", "partially_captured", "captured"]


async def test_what_the_marketplace_pays_of_the_price_is_told_to_the_ledger(desk: Any) -> None:
    order = await _authorized(desk)
    first, free = shipped(order, 1000, 0), shipped(order, 0, 0)
    for event, subsidy in ((first, 50), (free, 120)):
        await happened(desk, replace(event, subsidy=Money(subsidy, "EUR")))
        await work(desk, order)
    assert await desk.really(order) == [("authorize", 1000), ("capture", 1000)]
    facts = {fact["operation_id"]: fact for fact in await desk.events("payments.captured", order)}
    assert [(fact["amount"]["amount"], fact["subsidy"]["amount"]) for fact in facts.values()] == [(1000, 50), (0, 120)]
    assert free.shipment_id in facts


@pytest.mark.parametrize("kind", ["slow", "timeout_after_success", "down"])
async def test_a_capture_where_the_gateway_misbehaves(desk: Any, kind: str) -> None:
    order = await _authorized(desk)
    await happened(desk, shipped(order, 1000, 0))
    await desk.gateway.fault("any" if kind == "down" else "capture", kind)
    await work(desk, order)
    assert await desk.really(order) == [("authorize", 1000), ("capture", 1000)]
    assert len(await desk.events("payments.captured", order)) == 1


async def test_while_the_gateway_is_away_the_event_waits(desk: Any) -> None:
    order = await _authorized(desk)
    await happened(desk, shipped(order, 1000, 0))
    [data] = await desk.events("payments.requested", order)
    await desk.gateway.fault("any", "down")
    with pytest.raises(Unavailable):
        await desk.tell(type(desk.service).on_operation_requested, OperationRequested(**data))
    assert (await desk.payment(order)).operations[-1].status == "pending"
    await work(desk, order)
    assert (await desk.payment(order)).operations[-1].status == "done"


@pytest.mark.behaviour("payments-5")
@pytest.mark.parametrize("event", [("EUR", 1001), ("USD", 10)])
async def test_nothing_is_captured_above_the_authorisation(desk: Any, event: tuple[str, int]) -> None:
    order = await _authorized(desk)
    await happened(desk, shipped(order, event[1], 5, currency=event[0]))
    assert (await desk.payment(order)).operations[-1].status == "failed"
    assert await desk.events("payments.requested", order) == [], "the gateway is not even asked"
    await happened(desk, shipped(order, 1000, 5))
    await happened(desk, shipped(order, 1, 5))
    await work(desk, order)
    assert await desk.really(order) == [("authorize", 1000), ("capture", 1000)]
    assert [x.status for x in (await desk.payment(order)).operations] == ["done", "failed", "done", "failed"]


async def test_a_refused_capture_is_kept_and_its_money_with_it(desk: Any) -> None:
    order = await _authorized(desk)
    await desk.gateway.fault("capture", "decline")
    await happened(desk, shipped(order, 600, 400))
    await work(desk, order)
    await happened(desk, cancelled(order, 400, 0))
    await work(desk, order)
    assert [(x.kind, x.status) for x in (await desk.payment(order)).operations] == [
        ("authorize", "done"),
        ("capture", "failed"),
        ("void", "failed"),
    ]
    assert await desk.events("payments.captured", order) == []
    assert await desk.really(order) == [("authorize", 1000)]


async def test_a_person_has_a_refused_capture_tried_again(desk: Any) -> None:
    order = await _authorized(desk)
    await desk.gateway.fault("capture", "decline", 2)
    await happened(desk, shipped(order, 600, 400))
    await happened(desk, cancelled(order, 400, 0))
    await work(desk, order)
    operation = (await desk.payment(order)).operations[1]
    assert (operation.kind, operation.status, operation.failure) == ("capture", "failed", "payments.declined")
    for status in ("failed", "done"):
        for _ in range(2):
            again = await desk.payments.retry_operation(order, operation.id)
            assert [x.status for x in again.operations] == ["done", "pending", "pending"]
        assert len(await desk.events("payments.requested", order)) == (4 if status == "failed" else 6)
        await work(desk, order)
        assert [x.status for x in (await desk.payment(order)).operations] == ["done", status, status]
    assert await desk.really(order) == [("authorize", 1000), ("capture", 600), ("void", 400)]
    assert len(await desk.events("payments.captured", order)) == 1
    assert [x.failure for x in (await desk.payment(order)).operations] == [None] * 3
    done = await desk.payments.retry_operation(order, operation.id)
    assert [x.status for x in done.operations] == ["done"] * 3
    assert len(await desk.events("payments.requested", order)) == 6


async def test_what_no_gateway_was_asked_for_is_not_tried_again(desk: Any) -> None:
    order = await _authorized(desk)
    await happened(desk, shipped(order, 1001, 0))
    with pytest.raises(Conflict, match="wrong_state"):
        await desk.payments.retry_operation(order, (await desk.payment(order)).operations[1].id)
    for payment, operation in ((order, new_id()), (new_id(), new_id())):
        with pytest.raises(NotFound):
            await desk.payments.retry_operation(payment, operation)


@pytest.mark.behaviour("orders-3")
async def test_what_is_cancelled_is_released(desk: Any) -> None:
    order = await _authorized(desk)
    await happened(desk, cancelled(order, 300, 700))
    await work(desk, order)
    assert await desk.really(order) == [("authorize", 1000)]
    await happened(desk, shipped(order, 700, 0))
    await work(desk, order)
    assert await desk.really(order) == [("authorize", 1000), ("capture", 700), ("void", 300)]
    payment = await desk.payment(order)
    assert (payment.status, payment.captured) == ("captured", Money(700, "EUR"))


async def test_a_whole_order_is_cancelled(desk: Any) -> None:
    order = await _authorized(desk)
    await desk.gateway.fault("void", "decline", 2)
    await happened(desk, cancelled(order, 1000, 0))
    await work(desk, order)
    assert await desk.really(order) == [("authorize", 1000), ("void", 1000)]
    assert (await desk.payment(order)).status == "voided"
