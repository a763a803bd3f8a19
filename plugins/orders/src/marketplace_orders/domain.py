"""An order and its rules: how sums are made, what may be cancelled or shipped, and how far it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from marketplace_core.values import Money

__all__ = [
    "Charge",
    "Discount",
    "Line",
    "NotPossible",
    "Order",
    "Package",
    "Shipment",
    "Timeline",
    "Units",
    "arrived",
    "cancel_units",
    "commission",
    "order_status",
    "remaining",
    "settle",
    "share",
    "ship_units",
    "units_left",
    "weight",
]

#: how far a package is; an order is as far as its least advanced package
PROGRESS = ("pending", "confirmed", "partially_shipped", "shipped", "delivered", "completed")

Units = dict[str, int]
"""Units by line id."""


class NotPossible(Exception):
    """The state does not allow it; the text says why."""


@dataclass(frozen=True)
class Discount:
    """What a price rule took off a line; ``funded_by`` the ``platform`` or the ``seller``."""

    code: str
    label: str
    funded_by: str
    amount: Money


@dataclass
class Line:
    """A bought variant as it was at that moment, money in the order's currency. ``weight_g``: of a unit, None: nobody said."""

    id: str
    variant_id: str
    product_id: str
    sku: str
    title: str
    options: dict[str, str]
    image: str | None
    quantity: int
    unit_price: Money
    subtotal: Money
    discount: Money
    tax: Money
    tax_rate: str
    total: Money
    category_id: str | None = None
    shipped: int = 0
    cancelled: int = 0
    returned: int = 0
    discounts: list[Discount] = field(default_factory=list)
    weight_g: int | None = None

    @property
    def subsidy(self) -> Money:
        """What the marketplace pays of it in the buyer's place."""
        return self._funded_by("platform")

    @property
    def commission_base(self) -> Money:
        """What the seller asks for it: without tax, and without what the seller takes off."""
        return self.subtotal - self._funded_by("seller")

    def _funded_by(self, funder: str) -> Money:
        return Money.sum((one.amount for one in self.discounts if one.funded_by == funder), self.subtotal.currency)

    @property
    def left(self) -> int:
        """Units that are neither shipped nor cancelled."""
        return self.quantity - self.shipped - self.cancelled


@dataclass
class Option:
    """How a package is sent."""

    carrier: str
    service: str
    days: int


@dataclass
class Timeline:
    at: datetime
    type: str
    actor: str
    detail: str | None = None


@dataclass
class TrackingEvent:
    code: str
    location: str | None
    occurred_at: datetime


@dataclass
class Shipment:
    """Units on their way; ``items`` by line id."""

    id: str
    package_id: str
    carrier: str
    service: str
    status: str
    tracking_number: str | None
    tracking_token: str
    items: Units
    estimated_delivery: str | None = None
    events: list[TrackingEvent] = field(default_factory=list)


@dataclass
class Package:
    """One seller's part. ``commission_rate`` is frozen; ``captured`` is what was asked for with what is shipped."""

    id: str
    seller_id: str
    seller_name: str
    country: str
    commission_rate: str
    status: str
    items: list[Line]
    option: Option | None
    subtotal: Money
    discount: Money
    tax: Money
    shipping: Money
    total: Money
    captured: Money
    shipments: list[Shipment] = field(default_factory=list)
    updated_at: datetime | None = None


@dataclass
class Order:
    """``imported``: it comes from another system, and is over here."""

    id: str
    account_id: str | None
    email: str
    status: str
    number: str | None
    failure_code: str | None
    failure_detail: str | None
    address: dict[str, str]
    packages: list[Package]
    coupon: str | None
    tax_included: bool
    subtotal: Money
    discount: Money
    tax: Money
    shipping: Money
    total: Money
    payment: dict[str, object] | None
    reservation: str
    cart_id: str | None
    guest: bool
    timeline: list[Timeline]
    created_at: datetime
    updated_at: datetime
    complete_at: datetime | None = None
    imported: bool = False

    @property
    def units(self) -> int:
        return sum(self.units_by_variant.values())

    @property
    def units_by_variant(self) -> dict[str, int]:
        units: dict[str, int] = {}
        for package in self.packages:
            for line in package.items:
                units[line.variant_id] = units.get(line.variant_id, 0) + line.quantity
        return units

    @property
    def waits_for_its_payer(self) -> bool:
        return self.status == "pending" and self.payment is not None and self.payment["status"] == "requires_action"

    def note(self, at: datetime, type_: str, actor: str, detail: str | None = None) -> None:
        """What happened to it, by whom."""
        self.timeline.append(Timeline(at, type_, actor, detail))
        self.updated_at = at

    def show_payment(self, told: dict[str, object], at: datetime) -> bool:
        """Its payment as it is now, in plain values. False: nothing is new."""
        if self.payment is not None and (
            told == self.payment or not may_follow(str(told["status"]), str(self.payment["status"]))
        ):
            return False
        self.payment = told
        self.note(at, f"payments.{told['status']}", "system")
        return True

    def package(self, package_id: str) -> Package | None:
        return next((package for package in self.packages if package.id == package_id), None)


# ── how far it is ────────────────────────────────────────────────────────────────────────────────────────────


def order_status(packages: Sequence[Package]) -> str:
    """The least advanced of those not cancelled; ``partially_shipped`` where some are further than confirmed."""
    steps = [PROGRESS.index(package.status) for package in packages if package.status != "cancelled"]
    if not steps:
        return "cancelled"
    least = min(steps)
    if PROGRESS[least] == "confirmed" and max(steps) > least:
        return "partially_shipped"
    return PROGRESS[least]


def settle(order: Order, now: datetime, complete_days: int) -> None:
    """After a change of packages: how far the order is, and when it is completed by itself."""
    order.status = order_status(order.packages)
    if order.status == "delivered" and order.complete_at is None:
        order.complete_at = now + timedelta(days=complete_days)


def package_status(package: Package) -> str:
    """Of a confirmed package, from what became of its units; a parcel that only came back was not delivered."""
    if all(line.cancelled == line.quantity for line in package.items):
        return "cancelled"
    if any(line.left for line in package.items):
        return "partially_shipped" if any(line.shipped for line in package.items) else "confirmed"
    if package.status == "completed":
        return "completed"
    over = all(shipment.status in {"delivered", "returned"} for shipment in package.shipments)
    return "delivered" if over and any(map(arrived, package.shipments)) else "shipped"


def arrived(shipment: Shipment) -> bool:
    """Whether it ever did, though it may have come back."""
    return shipment.status == "delivered" or any(event.code == "delivered" for event in shipment.events)


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────────


def units_left(packages: Iterable[Package]) -> Units:
    """All units that can still be shipped or cancelled."""
    return {line.id: line.left for package in packages for line in package.items if line.left}


def cancel_units(package: Package, units: Units) -> Money:
    """Cancel units; the sums stay those of the purchase.

    :returns: what the buyer does not pay, with the shipping when nothing of the package goes out.
    :raises NotPossible: so many are not left.
    """
    _check(package, units)
    amount = Money.sum((share(line, line.total, units) for line in package.items), package.total.currency)
    for line in package.items:
        line.cancelled += units.get(line.id, 0)
    package.status = package_status(package)
    return amount + package.shipping if package.status == "cancelled" else amount


class Charge(NamedTuple):
    """What is captured for units that are shipped; of it shipping, tax, and the marketplace's commission.

    ``subsidy`` is beside it: what the marketplace pays of their price.
    """

    amount: Money
    shipping: Money
    tax: Money
    commission: Money
    subsidy: Money


def ship_units(package: Package, units: Units, shipment: Shipment) -> Charge:
    """Hand units to a carrier. A package's shipping goes with its first parcel.

    :raises NotPossible: so many are not left.
    """
    _check(package, units)
    currency = package.total.currency
    total = Money.sum((share(line, line.total, units) for line in package.items), currency)
    tax = Money.sum((share(line, line.tax, units) for line in package.items), currency)
    fee = Money.sum(
        (share(line, commission(line.commission_base, package.commission_rate), units) for line in package.items), currency
    )
    subsidy = Money.sum((share(line, line.subsidy, units) for line in package.items), currency)
    shipping = Money.zero(currency) if package.shipments else package.shipping
    for line in package.items:
        line.shipped += units.get(line.id, 0)
    package.shipments.append(shipment)
    package.captured = package.captured + total + shipping
    package.status = package_status(package)
    return Charge(total + shipping, shipping, tax, fee, subsidy)


def weight(package: Package, units: Units, unit_g: int) -> int:
    """Grams of these units; ``unit_g``: of one of which nobody said it."""
    grams = {line.id: unit_g if line.weight_g is None else line.weight_g for line in package.items}
    return sum(grams[line_id] * count for line_id, count in units.items())


def _check(package: Package, units: Units) -> None:
    lines = {line.id: line for line in package.items}
    for line_id, count in units.items():
        if line_id not in lines or lines[line_id].left < count:
            left = lines[line_id].left if line_id in lines else 0
            raise NotPossible(f"{left} units of item {line_id} are left, not {count}.")
    if not any(units.values()):
        raise NotPossible("Nothing is left.")


def share(line: Line, money: Money, units: Units) -> Money:
    """The part of a line's money that the next ``units`` of it carry: the first units carry the odd cents.

    So all parts add up exactly, in whatever numbers the units are shipped and cancelled.
    """
    count, begin = units.get(line.id, 0), line.shipped + line.cancelled
    each, odd = divmod(money.amount, line.quantity)
    return Money(each * count + max(0, min(odd, begin + count) - begin), money.currency)


def remaining(packages: Sequence[Package], currency: str) -> Money:
    """What an order may still capture."""
    return Money.sum((_open(package) for package in packages), currency)


#: How far a payment is; one that is not here has money that was taken, or has ended.
_STAGES = {"pending": 0, "requires_action": 0, "authorized": 1}


def may_follow(status: str, known: str) -> bool:
    """Whether a payment's status may follow another: two tell an order of it, and neither waits for the other."""
    return _STAGES.get(status, 2) >= _STAGES.get(known, 2)


def _open(package: Package) -> Money:
    currency = package.total.currency
    lines = Money.sum((share(line, line.total, {line.id: line.left}) for line in package.items), currency)
    started = bool(package.shipments)
    return lines if started or not any(line.left for line in package.items) else lines + package.shipping


def commission(base: Money, rate: str) -> Money:
    """The marketplace's part of ``base``, half even to the minor unit."""
    amount = (Decimal(base.amount) * Decimal(rate)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    return Money(int(amount), base.currency)
