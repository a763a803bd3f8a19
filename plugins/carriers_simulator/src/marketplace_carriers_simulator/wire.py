"""The simulator's own shapes, as far as we look at them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from marketplace_core.capabilities.logistics import CarrierParcel, CarrierRate, EventCode, Place
from marketplace_core.capabilities.orders import ShipmentStatus, ShippedItem, TrackingEvent
from marketplace_core.values import Money

__all__ = ["NewShipment", "RateQuestion", "Rates", "ShipmentView", "Webhook", "WebhookEvent"]


class Parcel(Struct, frozen=True):
    weight_g: int


class RateQuestion(Struct, frozen=True):
    from_: Place = field(name="from")
    to: Place
    parcels: tuple[Parcel, ...]
    currency: str


class Rate(Struct, frozen=True):
    service: str
    title: str
    price: Money
    days: int


class Rates(Struct, frozen=True):
    items: list[Rate]

    def to_rates(self) -> list[CarrierRate]:
        return [CarrierRate(service=r.service, title=r.title, price=r.price, days=r.days) for r in self.items]


class NewShipment(Struct, frozen=True):
    reference: str
    service: str
    from_: Place = field(name="from")
    to: dict[str, str]
    items: list[ShippedItem]
    weight_g: int


class Event(Struct, frozen=True):
    code: str
    location: str | None
    occurred_at: datetime

    def to_event(self) -> TrackingEvent:
        return TrackingEvent(self.code, self.location, self.occurred_at)


class ShipmentView(Struct, frozen=True):
    tracking_number: str
    status: ShipmentStatus
    estimated_delivery: datetime
    events: list[Event]

    def to_parcel(self) -> CarrierParcel:
        return CarrierParcel(
            tracking_number=self.tracking_number,
            status=self.status,
            estimated_delivery=self.estimated_delivery.date().isoformat(),
            events=[event.to_event() for event in self.events],
        )


class Webhook(Struct, frozen=True):
    """``data`` is read by type: what we do not know must not fail."""

    type: str
    data: Any = None


class WebhookEvent(Struct, frozen=True):
    """The ``data`` of ``shipment.event``."""

    tracking_number: str
    code: EventCode
    location: str | None
    occurred_at: datetime

    def to_event(self) -> TrackingEvent:
        return TrackingEvent(self.code, self.location, self.occurred_at)
