"""Events of orders: facts that others may follow."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from marketplace_core.capabilities.orders.values import PaymentMethod
from marketplace_core.events import Event, Personal, PersonId, event
from marketplace_core.values import Address, Money


class EventLine(Struct, frozen=True, kw_only=True):
    item_id: str
    variant_id: str
    product_id: str
    seller_id: str
    quantity: int
    unit_price: Money
    total: Money


class EventPackage(Struct, frozen=True, kw_only=True):
    """What one seller sends, with its sums: ``total`` is what the buyer pays of it, shipping and tax included."""

    package_id: str
    seller_id: str
    subtotal: Money
    discount: Money
    shipping: Money
    total: Money


@event("orders.placed", key="order_id")
class OrderPlaced(Event, frozen=True, kw_only=True):
    """An order waits for its money and its stock; the saga ``orders.checkout`` begins.

    ``reservation`` is the key under which the catalogue holds the lines until ``expires_at`` at least.
    """

    order_id: str
    account_id: PersonId | None
    total: Money
    payment: Personal[PaymentMethod | None]
    reservation: str
    expires_at: datetime
    lines: list[EventLine]
    cart_id: PersonId | None = None


@event("orders.confirmed", key="order_id")
class OrderConfirmed(Event, frozen=True, kw_only=True):
    """``country`` and ``region`` are where it goes, in so far as they tell of a place and not of a person."""

    order_id: str
    number: str
    account_id: PersonId | None
    total: Money
    lines: list[EventLine]
    cart_id: PersonId | None = None
    packages: tuple[EventPackage, ...] = ()
    country: str = ""
    region: str = ""


@event("orders.failed", key="order_id")
class OrderFailed(Event, frozen=True, kw_only=True):
    """A pending order will not be. ``code``: that of its failure; ``orders.cancelled`` where its buyer cancelled it."""

    order_id: str
    code: str


@event("orders.items_cancelled", key="order_id")
class ItemsCancelled(Event, frozen=True, kw_only=True):
    """Units were cancelled before they were shipped: their stock and their money go back.

    ``amount`` is theirs; ``remaining`` is what the whole order may still capture.
    """

    order_id: str
    package_id: str
    lines: list[EventLine]
    amount: Money
    remaining: Money
    seller_id: str = ""


@event("orders.package_shipped", key="order_id")
class PackageShipped(Event, frozen=True, kw_only=True):
    """Units left the seller in the parcel ``shipment_id``. ``amount`` is captured for them.

    Of it ``commission`` is the marketplace's, ``shipping`` and ``tax`` are what the buyer pays of these.
    ``remaining`` is what the whole order may still capture afterwards. ``tracking_token`` is the shipment's.
    ``subsidy`` is not captured: what the marketplace owes the seller for discounts that it pays. ``promised`` is the day by
    which the buyer was told that it arrives.
    """

    order_id: str
    package_id: str
    shipment_id: str
    seller_id: str
    lines: list[EventLine]
    amount: Money
    commission: Money
    shipping: Money
    tax: Money
    remaining: Money
    origin_country: str
    carrier: str
    service: str
    tracking_number: Personal[str | None]
    address: Personal[Address]
    tracking_token: Personal[str] = ""
    weight_g: int = 0
    subsidy: Money | None = None
    promised: str | None = None


@event("orders.items_returned", key="order_id")
class ItemsReturned(Event, frozen=True, kw_only=True):
    """Units came back to their seller; ``refund`` is what the buyer gets for them.

    ``reason``: ``undelivered`` where the carrier brings a parcel back that never arrived, ``sent_back`` one that had; nothing
    is refunded by that alone.
    """

    order_id: str
    package_id: str
    seller_id: str
    lines: list[EventLine]
    reason: str
    refund: Money


@event("orders.package_delivered", key="order_id")
class PackageDelivered(Event, frozen=True, kw_only=True):
    order_id: str
    package_id: str
    seller_id: str


@event("orders.completed", key="order_id")
class OrderCompleted(Event, frozen=True, kw_only=True):
    order_id: str
