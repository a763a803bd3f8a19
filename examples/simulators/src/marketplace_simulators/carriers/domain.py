"""Rates and shipments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from marketplace_simulators.wire import Currency, Money, Name

__all__ = [
    "SERVICES",
    "Address",
    "Advance",
    "Event",
    "NewShipment",
    "Rate",
    "RateRequest",
    "Shipment",
    "ShipmentView",
    "rates",
    "status_after",
    "view",
]

Code = Literal["in_transit", "out_for_delivery", "delivered", "exception", "returned"]
Status = Literal["label_created", "in_transit", "out_for_delivery", "delivered", "exception", "returned"]
Service = Literal["economy", "standard", "express"]
Weight = Annotated[int, Meta(ge=1, le=1_000_000)]
Moment = Annotated[str, Meta(pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z\Z")]

_STARTED = 500  # grams to a step of the price


class Terms(Struct, frozen=True):
    """Minor units at home and abroad, per started half kilogramme, and days."""

    title: str
    home: int
    abroad: int
    step: int
    home_days: int
    abroad_days: int


SERVICES: dict[Service, Terms] = {
    "economy": Terms("Economy", 349, 1290, 40, 5, 12),
    "standard": Terms("Standard", 499, 1690, 60, 3, 7),
    "express": Terms("Express", 999, 2990, 120, 1, 2),
}

_PROGRESS: dict[Status, int] = {
    "label_created": 0,
    "in_transit": 1,
    "exception": 1,
    "out_for_delivery": 2,
    "delivered": 3,
    "returned": 4,
}


class Place(Struct, frozen=True):
    """Whatever else an address says is taken and ignored."""

    country: Annotated[str, Meta(pattern=r"\A[A-Z]{2}\Z")]
    postal_code: Annotated[str, Meta(max_length=20)]


class Parcel(Struct, frozen=True, forbid_unknown_fields=True):
    weight_g: Weight


class RateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    from_: Place = field(name="from")
    to: Place
    parcels: Annotated[list[Parcel], Meta(min_length=1, max_length=100)]
    currency: Currency


class Rate(Struct, frozen=True):
    service: Service
    title: str
    price: Money
    days: int


def rates(wanted: RateRequest) -> list[Rate]:
    """The same answer to the same question, cheapest first."""
    home = wanted.from_.country == wanted.to.country
    steps = sum(-(-parcel.weight_g // _STARTED) for parcel in wanted.parcels)
    items = []
    for service, terms in SERVICES.items():
        base, days = (terms.home, terms.home_days) if home else (terms.abroad, terms.abroad_days)
        price = Money(base * len(wanted.parcels) + terms.step * steps, wanted.currency)
        items.append(Rate(service, terms.title, price, days))
    return items


class Address(Struct, frozen=True, omit_defaults=True):
    country: Annotated[str, Meta(pattern=r"\A[A-Z]{2}\Z")]
    postal_code: Annotated[str, Meta(max_length=20)]
    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    phone: str | None = None


class NewShipment(Struct, frozen=True, forbid_unknown_fields=True):
    """``items`` are the client's own words about the contents; they are kept and given back."""

    reference: Name
    service: Service
    from_: Address = field(name="from")
    to: Address
    items: Annotated[list[dict[str, Any]], Meta(max_length=1000)]
    weight_g: Weight


class Advance(Struct, frozen=True, forbid_unknown_fields=True):
    """What happened to a shipment; without ``occurred_at``, now."""

    code: Code
    location: Name | None = None
    occurred_at: Moment | None = None


class Event(Struct, frozen=True):
    code: Code
    location: str | None
    occurred_at: str


class Shipment(Struct):
    """A row; ``content`` and ``events`` are JSON."""

    seq: int
    id: str
    tracking_number: str
    reference: str
    service: Service
    status: Status
    estimated_delivery: str
    content: NewShipment
    events: list[Event]
    created_at: str


class ShipmentView(Struct, frozen=True):
    id: str
    tracking_number: str
    reference: str
    service: Service
    status: Status
    estimated_delivery: str
    label_url: str
    from_: Address = field(name="from")
    to: Address
    items: list[dict[str, Any]]
    weight_g: int
    events: list[Event]
    created_at: str


def view(shipment: Shipment, url: str) -> ShipmentView:
    """``url`` is where this carrier is reached."""
    return ShipmentView(
        id=shipment.id,
        tracking_number=shipment.tracking_number,
        reference=shipment.reference,
        service=shipment.service,
        status=shipment.status,
        estimated_delivery=shipment.estimated_delivery,
        label_url=f"{url}/labels/{shipment.tracking_number}.pdf",
        from_=shipment.content.from_,
        to=shipment.content.to,
        items=shipment.content.items,
        weight_g=shipment.content.weight_g,
        events=shipment.events,
        created_at=shipment.created_at,
    )


def status_after(status: Status, code: Code) -> Status:
    """A shipment never goes back, whatever is heard of it late; from an exception it may go on."""
    return code if _PROGRESS[code] >= _PROGRESS[status] else status
