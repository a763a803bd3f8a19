"""logistics: rates, parcels and where they are, by carriers that extension plugins speak to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field

from marketplace_core.capabilities.orders import Shipment, ShipmentStatus, ShippedItem, TrackingEvent
from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, Personal, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import Address, Money, Page, PageQuery
from marketplace_core.webhooks import RawWebhook, WebhookAnswer

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

EventCode = Literal["in_transit", "out_for_delivery", "delivered", "exception", "returned"]


class Place(Struct, frozen=True):
    """As much of an address as a rate needs; ``country`` is ISO 3166-1 alpha-2."""

    country: str
    postal_code: str


class RateRequest(Struct, frozen=True, kw_only=True):
    """One package: from whom, where to, how heavy (grams)."""

    seller_id: str
    origin: Place
    destination: Place
    weight_g: int
    currency: str


class RateOption(Struct, frozen=True, kw_only=True):
    """``id`` names carrier and service; ``estimated`` is a date; ``flat``: the fallback while no carrier answers."""

    id: str
    carrier: str
    service: str
    price: Money
    days: int
    estimated: str
    flat: bool = False


class ShipmentQuery(PageQuery, frozen=True, kw_only=True):
    status: ShipmentStatus | None = None
    updated_after: datetime | None = None
    tracking_number: Annotated[str, Meta(max_length=100)] | None = None


class CarrierShipment(Struct, frozen=True, kw_only=True):
    """A shipment as its carrier sees it."""

    id: str
    package_id: str
    carrier: str
    service: str
    status: ShipmentStatus
    tracking_number: str | None
    tracking_token: str
    items: list[ShippedItem]
    estimated_delivery: str | None
    events: list[TrackingEvent]
    from_: Place = field(name="from")
    to: Address
    weight_g: int


class AdminShipment(CarrierShipment, frozen=True, kw_only=True):
    """A shipment as operators see it; ``refusal`` is why no carrier takes it."""

    order_id: str
    seller_id: str
    refusal: str | None


class NewTrackingEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: EventCode
    location: Annotated[str, Meta(max_length=200)] | None = None
    occurred_at: datetime | None = None


class Tracking(Struct, frozen=True, kw_only=True):
    """What anybody with the token may know: no name, no address."""

    carrier: str
    tracking_number: str | None
    status: ShipmentStatus
    estimated_delivery: str | None
    events: list[TrackingEvent]


class Label(Struct, frozen=True):
    """A PDF."""

    content: bytes


# ── what a carrier plugin gives ──────────────────────────────────────────────────────────────────────────────


class CarrierRate(Struct, frozen=True, kw_only=True):
    service: str
    title: str
    price: Money
    days: int


class Consignment(Struct, frozen=True, kw_only=True):
    """What a carrier is asked to fetch and bring."""

    reference: str
    service: str
    origin: Place
    destination: Address
    items: list[ShippedItem]
    weight_g: int


class CarrierParcel(Struct, frozen=True, kw_only=True):
    """A parcel as the carrier has it."""

    tracking_number: str
    status: ShipmentStatus
    estimated_delivery: str | None
    events: list[TrackingEvent]


class CarrierEvent(Struct, frozen=True, kw_only=True):
    """A webhook, checked; ``tracking_number`` None: of a type that we do not know."""

    id: str
    tracking_number: str | None
    event: TrackingEvent | None


class Carrier(ABC):
    """A carrier's service; asked again with the same ``key`` after a time-out, it does a thing once.

    Every method raises :class:`~marketplace_core.errors.Unavailable` while the outcome is unknown, and
    :class:`~marketplace_core.errors.Refused` (``logistics.carrier_refused``) where the carrier decided against it.
    """

    title: str

    @abstractmethod
    async def rates(self, requests: Sequence[RateRequest]) -> list[list[CarrierRate]]:
        """Per request, in the same order, what it costs by service; nothing where the carrier does not take such a package."""

    @abstractmethod
    async def create(self, key: str, consignment: Consignment) -> CarrierParcel: ...

    @abstractmethod
    async def label(self, tracking_number: str) -> bytes:
        """A PDF."""

    @abstractmethod
    async def get(self, tracking_number: str) -> CarrierParcel | None:
        """None: the carrier does not know it."""

    @abstractmethod
    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> CarrierEvent:
        """:raises Unauthorized: ``webhooks.bad_signature``, ``webhooks.stale``."""


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("logistics.shipment_changed", key="shipment_id")
class ShipmentChanged(Event, frozen=True, kw_only=True):
    """A shipment after a change, whole; ``code`` is the tracking event that changed it, if one did."""

    shipment_id: str
    order_id: str
    package_id: str
    shipment: Shipment
    code: str | None = None


@event("logistics.shipment_requested", key="shipment_id")
class ShipmentRequested(Event, frozen=True, kw_only=True):
    """The carrier has to be asked for a label; the worker does it."""

    shipment_id: str
    carrier: str


@event("logistics.webhook_received", key="tracking_number")
class CarrierWebhookReceived(Event, frozen=True, kw_only=True):
    tracking_number: Personal[str]
    carrier: str
    webhook_id: str


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(409, "logistics.label_pending", "logistics.carrier_refused", "logistics.wrong_state")
declare_scopes("logistics", "shipments")
declare_scopes("admin", "shipments")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Logistics(ABC):
    """Rates and parcels of all carriers."""

    @abstractmethod
    @query
    async def get_rates(self, requests: list[RateRequest]) -> list[list[RateOption]]:
        """Per request, in the same order, options cheapest first; a flat one, flagged, while no carrier answers.

        Nothing where every carrier refuses the package, or no flat price can be given for it.
        """

    @abstractmethod
    @query
    async def get_carriers(self) -> list[str]:
        """The names of the carriers that are asked for parcels."""

    @abstractmethod
    @query
    async def get_label(self, seller_id: str, shipment_id: str) -> Label:
        """The label of a seller's own shipment.

        :raises NotFound: also for another seller's, and where the seller delivers: there is no label then.
        :raises Conflict: ``logistics.label_pending``, also for a shipment that orders knows and that has not arrived here yet;
            ``logistics.carrier_refused``.
        """

    @abstractmethod
    @query
    async def get_carrier_label(self, carrier: str, shipment_id: str) -> Label:
        """The same for the shipment's carrier."""

    @abstractmethod
    @query
    async def get_tracking(self, token: str) -> Tracking:
        """:raises NotFound:"""

    @abstractmethod
    @query
    async def list_shipments(self, carrier: str, query: ShipmentQuery) -> Page[CarrierShipment]: ...

    @abstractmethod
    @query
    async def get_shipment(self, carrier: str, shipment_id: str) -> CarrierShipment:
        """:raises NotFound: also for another carrier's."""

    @abstractmethod
    @mutation(retriable=True)
    async def add_event(self, carrier: str, shipment_id: str, event: NewTrackingEvent) -> CarrierShipment:
        """Kept even when late; the status never goes back."""

    @abstractmethod
    @mutation(retriable=True)
    async def receive_webhook(self, webhook: RawWebhook) -> WebhookAnswer:
        """Store it, durably; it is applied afterwards. :raises NotFound: no such carrier. :raises Unauthorized:"""

    # for operators

    @abstractmethod
    @query
    async def find_shipment(self, shipment_id: str) -> AdminShipment:
        """Whosever it is. :raises NotFound:"""

    @abstractmethod
    @mutation(retriable=True)
    async def retry_shipment(self, shipment_id: str) -> AdminShipment:
        """Have the carrier asked again that refused it; of one that it is asked for, or has taken: nothing.

        :raises NotFound: :raises Conflict: ``logistics.wrong_state``: the seller delivers it, and no carrier was asked.
        """


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class LogisticsHooks:
    @hookspec
    def provide_logistics(self, context: PluginContext) -> Logistics:  # type: ignore[empty-body]
        """The capability's provider."""

    @hookspec
    async def carriers(self) -> Mapping[str, Carrier]:  # type: ignore[empty-body]
        """Carriers by name; a contribution, asked for once per process."""
