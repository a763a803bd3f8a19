"""Values of orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from marketplace_core.capabilities.cart import CartOwner
from marketplace_core.capabilities.catalog import LineRequest, Options, SellerRef
from marketplace_core.events import Personal
from marketplace_core.values import Address, Id, Money, PageQuery

PackageStatus = Literal["pending", "confirmed", "partially_shipped", "shipped", "delivered", "completed", "cancelled"]
OrderStatus = Literal["pending", "confirmed", "partially_shipped", "shipped", "delivered", "completed", "cancelled", "failed"]
ShipmentStatus = Literal["pending", "label_created", "in_transit", "out_for_delivery", "delivered", "exception", "returned"]
PaymentStatus = Literal[
    "pending",
    "requires_action",
    "authorized",
    "partially_captured",
    "captured",
    "voided",
    "partially_refunded",
    "refunded",
    "failed",
]


Funder = Literal["platform", "seller"]
"""Who pays for what a buyer does not: the marketplace, or the seller of the line."""


class LineDiscount(Struct, frozen=True, kw_only=True):
    """A part of a line's ``discount``, and the price rule that it comes from."""

    code: str
    label: str
    funded_by: Funder
    amount: Money


class Line(Struct, frozen=True, kw_only=True):
    """One bought variant, as it was at that moment; ``shipped``, ``cancelled`` and ``returned`` are quantities.

    ``total = subtotal - discount``, plus the tax where prices are without it; ``discounts`` add up to ``discount``.
    """

    id: str
    variant_id: str
    product_id: str
    sku: str
    title: str
    options: Options
    image: str | None
    quantity: int
    unit_price: Money
    subtotal: Money
    discount: Money
    tax: Money
    tax_rate: str
    total: Money
    shipped: int = 0
    cancelled: int = 0
    returned: int = 0
    discounts: list[LineDiscount] = []


class ShippingOption(Struct, frozen=True):
    carrier: str
    service: str
    days: int


class ShippedItem(Struct, frozen=True):
    item_id: str
    quantity: int


class TrackingEvent(Struct, frozen=True):
    code: str
    location: Personal[str | None]
    occurred_at: datetime


class Shipment(Struct, frozen=True, kw_only=True):
    id: str
    package_id: str
    carrier: str
    service: str
    status: ShipmentStatus
    tracking_number: Personal[str | None]
    tracking_token: Personal[str]
    items: list[ShippedItem]
    estimated_delivery: str | None
    events: list[TrackingEvent]


class Package(Struct, frozen=True, kw_only=True):
    """What one seller sends."""

    id: str
    number: str | None
    seller: SellerRef
    status: PackageStatus
    items: list[Line]
    option: ShippingOption | None
    subtotal: Money
    discount: Money
    tax: Money
    shipping: Money
    total: Money
    shipments: list[Shipment]


class PaymentAction(Struct, frozen=True):
    type: Literal["redirect"]
    url: Personal[str]
    expires_at: datetime


class PaymentView(Struct, frozen=True, kw_only=True):
    id: str
    gateway: str
    status: PaymentStatus
    authorized: Money
    captured: Money
    refunded: Money
    action: PaymentAction | None = None


class TimelineEntry(Struct, frozen=True):
    at: datetime
    type: str
    actor: Literal["buyer", "seller", "carrier", "admin", "system"]
    detail: str | None = None


class OrderFailure(Struct, frozen=True):
    code: str
    detail: str


class Order(Struct, frozen=True, kw_only=True):
    """``number`` is None until the order is confirmed; ``payment`` None until then, unless payments has told of
    one that waits or has ended."""

    id: str
    number: str | None
    status: OrderStatus
    failure: OrderFailure | None
    email: str
    address: Address
    packages: list[Package]
    coupon: str | None
    subtotal: Money
    discount: Money
    tax: Money
    tax_included: bool
    shipping: Money
    total: Money
    payment: PaymentView | None
    returns: list[Any]
    timeline: list[TimelineEntry]
    created_at: datetime
    updated_at: datetime


class PlacedOrder(Order, frozen=True, kw_only=True):
    """``token`` lets a guest look at the order."""

    token: str | None = None


class SellerPackage(Package, frozen=True, kw_only=True):
    """A package as its seller sees it; name and phone of the address only until it is completed.

    ``net`` is what it earns: the total less the commission, and what the marketplace pays of its discounts.
    """

    order_id: str
    order_number: str | None
    address: Address
    buyer_note: str | None
    commission: Money
    net: Money
    created_at: datetime
    updated_at: datetime


class PaymentMethod(Struct, frozen=True, forbid_unknown_fields=True):
    """``token`` is the gateway's; ``return_url`` is where a redirect ends."""

    method: Annotated[str, Meta(min_length=1, max_length=50)]
    token: Annotated[str, Meta(min_length=1, max_length=500)]
    return_url: Annotated[str, Meta(max_length=2000)] | None = None


class QuoteRequest(Struct, frozen=True, kw_only=True):
    """What would it cost? ``shipping``: option id by seller; without one the cheapest is selected."""

    owner: CartOwner
    country: str | None = None
    postal_code: str = ""
    address_id: str | None = None
    shipping: dict[str, str] = {}
    coupon: str | None = None


class QuoteOption(Struct, frozen=True, kw_only=True):
    id: str
    carrier: str
    service: str
    price: Money
    days: int
    estimated: str


class QuoteItem(Struct, frozen=True, kw_only=True):
    variant_id: str
    quantity: int
    unit_price: Money
    discount: Money
    tax: Money
    total: Money
    discounts: list[LineDiscount] = []


class QuotePackage(Struct, frozen=True, kw_only=True):
    """One seller's part; ``selected`` is the id of the option that the sums are made with."""

    seller_id: str
    items: list[QuoteItem]
    options: list[QuoteOption]
    selected: str | None


class CouponView(Struct, frozen=True):
    code: str
    applied: bool
    problem: str | None


class QuoteProblem(Struct, frozen=True):
    """``discounts_unknown``: a price rule does not answer, so nothing is taken off here, and an order would be 503."""

    code: Literal["out_of_stock", "unavailable", "discounts_unknown"]
    variant_id: str | None
    detail: str


class Quote(Struct, frozen=True, kw_only=True):
    packages: list[QuotePackage]
    coupon: CouponView | None
    subtotal: Money
    discount: Money
    tax: Money
    tax_included: bool
    shipping: Money
    total: Money
    expires_at: datetime
    problems: list[QuoteProblem]


class PlaceOrder(Struct, frozen=True, kw_only=True):
    """What ``place`` needs: an address or the id of one of the owner's, and of a guest the e-mail.

    ``lines`` None: what is in the owner's cart. ``payment`` is needed, and looked at, where payments are deployed.
    """

    owner: CartOwner
    address: Address | None = None
    address_id: str | None = None
    email: str | None = None
    payment: PaymentMethod | None
    expected_total: Money
    shipping: dict[str, str] = {}
    coupon: str | None = None
    lines: tuple[LineRequest, ...] | None = None


class CancelItem(Struct, frozen=True, forbid_unknown_fields=True):
    item_id: Id
    quantity: Annotated[int, Meta(ge=1, le=1_000_000_000)]


#: Of one package or order; it has no more lines than that.
CancelItems = Annotated[tuple[CancelItem, ...], Meta(max_length=1000)]


class OrderQuery(PageQuery, frozen=True, kw_only=True):
    status: OrderStatus | None = None


class AdminOrderQuery(PageQuery, frozen=True, kw_only=True):
    status: OrderStatus | None = None
    number: Annotated[str, Meta(max_length=100)] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None
    created_after: datetime | None = None


class PackageQuery(PageQuery, frozen=True, kw_only=True):
    """``created``: the latest first; ``updated``: that which changed longest ago first, so that a walk meets every change."""

    status: PackageStatus | None = None
    created_after: datetime | None = None
    updated_after: datetime | None = None
    sort: Literal["created", "updated"] = "created"


class ShipRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``tracking_number``: the seller delivers it, by ``carrier`` if that is named, which is none that we ask for parcels."""

    items: CancelItems | None = None
    carrier: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    service: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    tracking_number: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


# ── what a price rule gives ────────────────────────────────────────────────────────────────────────────────────────────


class PricingLine(Struct, frozen=True, kw_only=True):
    """A line of a purchase at its list price, which an order has frozen by now."""

    variant_id: str
    product_id: str
    seller_id: str
    category_id: str | None
    quantity: int
    unit_price: Money

    @property
    def subtotal(self) -> Money:
        return self.unit_price * self.quantity


class Pricing(Struct, frozen=True, kw_only=True):
    """A whole purchase, quoted or ordered: all its lines. ``account_id`` None: a guest. ``at``: the deployment's time."""

    lines: tuple[PricingLine, ...]
    account_id: str | None
    currency: str
    at: datetime

    @property
    def subtotal(self) -> Money:
        return Money.sum((line.subtotal for line in self.lines), self.currency)


class Discount(Struct, frozen=True, kw_only=True):
    """What a price rule takes off, for each line of the purchase in the same order; none is negative.

    A rule about the whole purchase splits its sum with :func:`~marketplace_core.values.split_money`. ``label`` is for people.
    """

    label: str
    amounts: tuple[Money, ...]
    funded_by: Funder = "platform"
