"""An order of another system, as if it had been bought here: its record, and what was told of it at each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from marketplace_core.capabilities.orders import ImportLine, ImportOrder
from marketplace_core.events import Event
from marketplace_core.values import Money, derived_id
from marketplace_orders import domain, happenings, views

__all__ = ["Happened", "relive"]

Happened = list[tuple[datetime, Event]]
"""Events with their times, in the order in which they happened."""

#: Nobody told who carried it.
UNKNOWN = "unknown"
_STEPS = ("pending", "confirmed", "shipped", "delivered")


def relive(order: ImportOrder, token: Callable[[str], str], line_weight_g: int) -> tuple[domain.Order, Happened]:
    """:param token: makes the token of a shipment from its id."""
    record = _placed(order)
    told: Happened = [(order.placed_at, happenings.placed(record, None, order.placed_at))]
    if order.confirmed_at is not None or order.status in _STEPS[1:]:
        told.append((_confirm(record, order), happenings.confirmed(record)))
    told += _cancel(record, order)
    if order.status in _STEPS[2:]:
        told += _send(record, order, token, line_weight_g)
    record.status = order.status
    record.updated_at = max(entry.at for entry in record.timeline)
    for package in record.packages:
        package.updated_at = record.updated_at
    return record, told


def _note(record: domain.Order, at: datetime, type_: str, actor: str) -> None:
    record.timeline.append(domain.Timeline(at, type_, actor))


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────


def _confirm(record: domain.Order, order: ImportOrder) -> datetime:
    at = order.confirmed_at or order.placed_at
    for package in record.packages:
        package.status = "confirmed"
    _note(record, at, "orders.confirmed", "system")
    return at


def _cancel(record: domain.Order, order: ImportOrder) -> Happened:
    """All units, or those that the lines say; each when it is told, or as soon as it can have been."""
    begun = order.confirmed_at or order.placed_at
    said = {line.id: line for line in order.lines}
    told: Happened = []
    for package in record.packages:
        units = domain.units_left([package])
        if order.status != "cancelled":
            units = {line.id: said[line.id].cancelled for line in package.items if said[line.id].cancelled}
        if not units:
            continue
        at = max([said[id_].cancelled_at or begun for id_ in units])
        lines = views.event_lines(package, units)
        amount = domain.cancel_units(package, units)
        remaining = domain.remaining(record.packages, order.currency)
        told.append((at, happenings.cancelled(record, package, lines, amount, remaining)))
    if told or order.status == "cancelled":
        _note(record, max([begun, *(at for at, _ in told)]), "orders.items_cancelled", "system")
    return told


def _send(record: domain.Order, order: ImportOrder, token: Callable[[str], str], line_weight_g: int) -> Happened:
    sent = order.shipped_at or order.confirmed_at or order.placed_at
    told: Happened = []
    packages = [package for package in record.packages if any(line.left for line in package.items)]
    for package in packages:
        units = domain.units_left([package])
        lines = views.event_lines(package, units)
        shipment = _shipment(package, order, sent, token)
        charge = domain.ship_units(package, shipment.items, shipment)
        told.append((sent, happenings.shipped(record, package, shipment, lines, charge, line_weight_g, sent)))
    _note(record, sent, "orders.package_shipped", "seller")
    if order.status == "delivered":
        arrived = order.delivered_at or sent
        told += [(arrived, happenings.delivered(record, package)) for package in packages]
        _note(record, arrived, "shipment.delivered", "carrier")
    return told


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────


def _placed(order: ImportOrder) -> domain.Order:
    by_seller: dict[str, list[ImportLine]] = {}
    for line in order.lines:
        by_seller.setdefault(line.seller.id, []).append(line)
    packages = [_package(order, lines) for lines in by_seller.values()]
    zero = Money.zero(order.currency)
    return domain.Order(
        id=order.id,
        account_id=order.account_id,
        email=order.email,
        status="pending",
        number=order.number,
        failure_code=None,
        failure_detail=None,
        address=msgspec.to_builtins(order.address),
        packages=packages,
        coupon=None,
        tax_included=True,
        subtotal=Money.sum((package.subtotal for package in packages), order.currency),
        discount=zero,
        tax=zero,
        shipping=Money.sum((package.shipping for package in packages), order.currency),
        total=Money.sum((package.total for package in packages), order.currency),
        payment=None if order.payment is None else msgspec.to_builtins(order.payment),
        reservation="",
        cart_id=None,
        guest=False,
        timeline=[domain.Timeline(order.placed_at, "orders.placed", "buyer")],
        created_at=order.placed_at,
        updated_at=order.placed_at,
        imported=True,
    )


def _package(order: ImportOrder, lines: Sequence[ImportLine]) -> domain.Package:
    """Nothing is known of a commission: there was none here."""
    zero = Money.zero(order.currency)
    subtotal = Money.sum((line.unit_price * line.quantity for line in lines), order.currency)
    shipping = Money.sum((line.shipping for line in lines), order.currency)
    return domain.Package(
        id=derived_id(f"{order.id}/{lines[0].seller.id}"),
        seller_id=lines[0].seller.id,
        seller_name=lines[0].seller.name,
        country=lines[0].country,
        commission_rate="0",
        status="pending",
        items=[_line(line, zero) for line in lines],
        option=None,
        subtotal=subtotal,
        discount=zero,
        tax=zero,
        shipping=shipping,
        total=subtotal + shipping,
        captured=zero,
    )


def _line(line: ImportLine, zero: Money) -> domain.Line:
    subtotal = line.unit_price * line.quantity
    return domain.Line(
        id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        sku=line.sku,
        title=line.title,
        options={},
        image=None,
        quantity=line.quantity,
        unit_price=line.unit_price,
        subtotal=subtotal,
        discount=zero,
        tax=zero,
        tax_rate="0",
        total=subtotal,
    )


def _shipment(package: domain.Package, order: ImportOrder, sent: datetime, token: Callable[[str], str]) -> domain.Shipment:
    id_ = derived_id(f"{package.id}/shipment")
    events = [domain.TrackingEvent("in_transit", None, sent)]
    if order.status == "delivered":
        events.append(domain.TrackingEvent("delivered", None, order.delivered_at or sent))
    return domain.Shipment(
        id=id_,
        package_id=package.id,
        carrier=UNKNOWN,
        service=UNKNOWN,
        status=events[-1].code,
        tracking_number=None,
        tracking_token=token(id_),
        items=domain.units_left([package]),
        estimated_delivery=order.estimated_delivery,
        events=events,
    )
