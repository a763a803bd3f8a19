"""What orders tell the others, made from an order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from marketplace_core.capabilities.orders import (
    EventLine,
    EventPackage,
    ItemsCancelled,
    ItemsReturned,
    OrderConfirmed,
    OrderPlaced,
    PackageDelivered,
    PackageShipped,
    PaymentMethod,
)
from marketplace_core.values import Money
from marketplace_orders import domain, tracking, views

__all__ = ["cancelled", "confirmed", "delivered", "placed", "returned", "shipped"]


def placed(record: domain.Order, payment: PaymentMethod | None, expires_at: datetime) -> OrderPlaced:
    return OrderPlaced(
        order_id=record.id,
        account_id=record.account_id,
        total=record.total,
        payment=payment,
        reservation=record.reservation,
        expires_at=expires_at,
        lines=_lines(record),
        cart_id=record.cart_id,
    )


def confirmed(record: domain.Order) -> OrderConfirmed:
    """Of an order that has its number."""
    return OrderConfirmed(
        order_id=record.id,
        number=record.number or "",
        account_id=record.account_id,
        total=record.total,
        lines=_lines(record),
        cart_id=record.cart_id,
        packages=tuple(_package(package) for package in record.packages),
        country=record.address.get("country", ""),
        region=_region(record.address.get("region", "")),
    )


#: A name or a short code. What has digits, or is longer, may be a line of an address or a number of somebody.
_REGION = re.compile(r"\w{1,3}|[^\d@/:]{1,40}")


def _region(text: str) -> str:
    """What the buyer wrote there, if it is the name of a region: events for reports keep it."""
    region = text.strip()
    return region if _REGION.fullmatch(region) else ""


def shipped(
    record: domain.Order,
    package: domain.Package,
    shipment: domain.Shipment,
    lines: Sequence[EventLine],
    charge: domain.Charge,
    line_weight_g: int,
    at: datetime,
) -> PackageShipped:
    """After the units were shipped, ``at`` that time; ``lines`` are they."""
    return PackageShipped(
        order_id=record.id,
        package_id=package.id,
        shipment_id=shipment.id,
        seller_id=package.seller_id,
        lines=list(lines),
        amount=charge.amount,
        commission=charge.commission,
        shipping=charge.shipping,
        tax=charge.tax,
        remaining=domain.remaining(record.packages, record.total.currency),
        origin_country=package.country,
        carrier=shipment.carrier,
        service=shipment.service,
        tracking_number=shipment.tracking_number,
        address=views.address(record),
        tracking_token=shipment.tracking_token,
        weight_g=domain.weight(package, shipment.items, line_weight_g),
        subsidy=charge.subsidy,
        promised=shipment.estimated_delivery or _promised(package, at),
    )


def _promised(package: domain.Package, at: datetime) -> str | None:
    """What was chosen takes so many days, of which the first begins when the parcel leaves."""
    return None if package.option is None else (at.date() + timedelta(days=package.option.days)).isoformat()


def _package(package: domain.Package) -> EventPackage:
    return EventPackage(
        package_id=package.id,
        seller_id=package.seller_id,
        subtotal=package.subtotal,
        discount=package.discount,
        shipping=package.shipping,
        total=package.total,
    )


def cancelled(
    record: domain.Order, package: domain.Package, lines: Sequence[EventLine], amount: Money, remaining: Money
) -> ItemsCancelled:
    return ItemsCancelled(
        order_id=record.id,
        package_id=package.id,
        lines=list(lines),
        amount=amount,
        remaining=remaining,
        seller_id=package.seller_id,
    )


def delivered(record: domain.Order, package: domain.Package) -> PackageDelivered:
    return PackageDelivered(order_id=record.id, package_id=package.id, seller_id=package.seller_id)


def returned(record: domain.Order, package: domain.Package, shipment_id: str, status: str) -> ItemsReturned | None:
    """Of a parcel that its carrier brings back, which is not taken over yet. Nothing is refunded by that alone."""
    parcel = tracking.brought_back(package, shipment_id, status)
    if parcel is None:
        return None
    kept = [replace(line, shipped=line.returned, cancelled=0) for line in package.items]  # shares are of the next units
    return ItemsReturned(
        order_id=record.id,
        package_id=package.id,
        seller_id=package.seller_id,
        lines=views.event_lines(replace(package, items=kept), parcel.items),
        reason="sent_back" if domain.arrived(parcel) else "undelivered",
        refund=Money.zero(record.total.currency),
    )


def _lines(record: domain.Order) -> list[EventLine]:
    return [line for package in record.packages for line in views.event_lines(package)]
