"""A shipment and its rules: what its status is, given what is known to have happened to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

__all__ = ["FLAT", "OWN", "UNDER_WAY", "Shipment", "TrackingEvent", "status_of", "take"]

#: The carrier of what sellers deliver themselves.
OWN = "own"
#: The carrier of the option that is offered while none answers: which one it will be is decided when it is sent.
FLAT = "flat"

#: How far a parcel is; it never goes back.
PROGRESS = ("in_transit", "out_for_delivery", "delivered", "returned")
#: How far other people's clocks may be ahead of ours.
AHEAD = timedelta(hours=1)
#: Statuses in which a carrier has more to tell.
UNDER_WAY = ("label_created", "in_transit", "out_for_delivery", "exception")


@dataclass(frozen=True)
class TrackingEvent:
    """What happened to a parcel. The same code, time and place are the same event, whoever tells of it.

    ``told_at`` is the time by which we were told of it, if that cannot be: then ``occurred_at`` is when we heard.
    """

    code: str
    location: str | None
    occurred_at: datetime
    told_at: datetime | None = None

    @property
    def identity(self) -> tuple[str, str | None, datetime]:
        return self.code, self.location, self.told_at or self.occurred_at


@dataclass
class Shipment:
    """A parcel. ``items`` are units by line id, ``address`` is where it goes, ``weight_g`` grams.

    ``own``: no carrier of ours is asked, its ``tracking_number`` is the seller's word. ``refusal``: why the carrier does not
    take it; ``tries``: how often it was refused and a person had the carrier asked again. ``events`` are in order of time.
    """

    id: str
    order_id: str
    package_id: str
    seller_id: str
    carrier: str
    service: str
    own: bool
    tracking_number: str | None
    tracking_token: str
    items: dict[str, int]
    origin_country: str
    address: dict[str, str]
    weight_g: int
    created_at: datetime
    updated_at: datetime
    status: str = "pending"
    estimated_delivery: str | None = None
    refusal: str | None = None
    tries: int = 0
    events: list[TrackingEvent] = field(default_factory=list)

    @property
    def begun(self) -> str:
        """The status as long as nothing has happened to it."""
        if self.refusal is not None:
            return "exception"
        return "label_created" if self.own or self.tracking_number is not None else "pending"

    def restore(self, events: Iterable[TrackingEvent]) -> None:
        """What a store kept of its events, in whatever order."""
        self.events = sorted((_in_utc(event) for event in events), key=_position)


def take(shipment: Shipment, events: Iterable[TrackingEvent], now: datetime) -> list[TrackingEvent]:
    """Add what is not known yet and bring the status up to date; gives what was new, in order of time.

    The result does not depend on the order in which events come, nor on how often, except of such that are dated later than
    :data:`AHEAD` of ``now``: those happened when we first heard of them, and do not stand above what comes then.
    """
    known = {event.identity for event in shipment.events}
    told = {event.identity: _not_ahead(event, now) for event in map(_in_utc, events)}
    new = sorted((event for identity, event in told.items() if identity not in known), key=_position)
    shipment.events = sorted([*shipment.events, *new], key=_position)
    shipment.status = status_of(shipment.begun, shipment.events)
    return new


def status_of(begun: str, events: Sequence[TrackingEvent]) -> str:
    """As far as the furthest event. An exception is shown until the parcel goes on, and not once it has arrived."""
    furthest = max((PROGRESS.index(event.code) for event in events if event.code != "exception"), default=-1)
    if furthest < PROGRESS.index("delivered") and events and events[-1].code == "exception":
        return "exception"
    return PROGRESS[furthest] if furthest >= 0 else begun


def _in_utc(event: TrackingEvent) -> TrackingEvent:
    told_at = None if event.told_at is None else event.told_at.astimezone(UTC)
    return TrackingEvent(event.code, event.location, event.occurred_at.astimezone(UTC), told_at)


def _not_ahead(event: TrackingEvent, now: datetime) -> TrackingEvent:
    if event.occurred_at <= now + AHEAD:
        return event
    return TrackingEvent(event.code, event.location, now.astimezone(UTC), event.occurred_at)


def _position(event: TrackingEvent) -> tuple[datetime, int, str]:
    """Of one moment, an exception comes before what goes on."""
    rank = -1 if event.code == "exception" else PROGRESS.index(event.code)
    return event.occurred_at, rank, event.location or ""
