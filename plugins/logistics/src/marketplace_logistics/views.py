"""How shipments leave the service, and what comes in as one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from marketplace_core.capabilities.logistics import (
    AdminShipment,
    CarrierShipment,
    Consignment,
    Place,
    RateRequest,
    ShipmentChanged,
    Tracking,
)
from marketplace_core.capabilities.orders import PackageShipped, Shipment, ShippedItem, TrackingEvent
from marketplace_core.values import Address
from marketplace_logistics import domain

__all__ = [
    "admin_shipment",
    "carrier_shipment",
    "changed",
    "consignment",
    "events_of",
    "rate_request",
    "requested",
    "shipment",
    "tracking",
]


def requested(event: PackageShipped, token: str, now: datetime, *, own: bool) -> domain.Shipment:
    """The shipment that a package's event begins."""
    made = domain.Shipment(
        id=event.shipment_id,
        order_id=event.order_id,
        package_id=event.package_id,
        seller_id=event.seller_id,
        carrier=event.carrier,
        service=event.service,
        own=own,
        tracking_number=event.tracking_number,
        tracking_token=token,
        items={line.item_id: line.quantity for line in event.lines},
        origin_country=event.origin_country,
        address=msgspec.to_builtins(event.address),
        weight_g=max(event.weight_g, 1),
        created_at=now,
        updated_at=now,
    )
    made.status = made.begun
    return made


def changed(record: domain.Shipment, code: str | None = None) -> ShipmentChanged:
    return ShipmentChanged(
        shipment_id=record.id,
        order_id=record.order_id,
        package_id=record.package_id,
        shipment=shipment(record),
        code=code,
    )


def shipment(record: domain.Shipment) -> Shipment:
    return Shipment(
        id=record.id,
        package_id=record.package_id,
        carrier=record.carrier,
        service=record.service,
        status=record.status,  # type: ignore[arg-type]
        tracking_number=record.tracking_number,
        tracking_token=record.tracking_token,
        items=_items(record),
        estimated_delivery=record.estimated_delivery,
        events=_events(record),
    )


def carrier_shipment(record: domain.Shipment) -> CarrierShipment:
    return CarrierShipment(
        **msgspec.structs.asdict(shipment(record)),
        from_=Place(record.origin_country, ""),
        to=_address(record),
        weight_g=record.weight_g,
    )


def admin_shipment(record: domain.Shipment) -> AdminShipment:
    seen = carrier_shipment(record)
    fields = {name: getattr(seen, name) for name in seen.__struct_fields__}
    return AdminShipment(**fields, order_id=record.order_id, seller_id=record.seller_id, refusal=record.refusal)


def tracking(record: domain.Shipment) -> Tracking:
    return Tracking(
        carrier=record.carrier,
        tracking_number=record.tracking_number,
        status=record.status,  # type: ignore[arg-type]
        estimated_delivery=record.estimated_delivery,
        events=_events(record),
    )


def consignment(record: domain.Shipment) -> Consignment:
    return Consignment(
        reference=record.id,
        service=record.service,
        origin=Place(record.origin_country, ""),
        destination=_address(record),
        items=_items(record),
        weight_g=record.weight_g,
    )


def rate_request(record: domain.Shipment, currency: str) -> RateRequest:
    address = _address(record)
    return RateRequest(
        seller_id=record.seller_id,
        origin=Place(record.origin_country, ""),
        destination=Place(address.country, address.postal_code),
        weight_g=record.weight_g,
        currency=currency,
    )


def events_of(events: Sequence[TrackingEvent]) -> list[domain.TrackingEvent]:
    """What a carrier tells, as far as its codes are ours."""
    known = {*domain.PROGRESS, "exception"}
    return [domain.TrackingEvent(e.code, e.location or None, e.occurred_at) for e in events if e.code in known]


def _events(record: domain.Shipment) -> list[TrackingEvent]:
    return [TrackingEvent(e.code, e.location, e.occurred_at) for e in record.events]


def _items(record: domain.Shipment) -> list[ShippedItem]:
    return [ShippedItem(item_id, quantity) for item_id, quantity in record.items.items()]


def _address(record: domain.Shipment) -> Address:
    return msgspec.convert(record.address, Address)
