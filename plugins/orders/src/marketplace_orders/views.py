"""How orders leave the service: to their buyer, to a seller, in events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from marketplace_core.capabilities.catalog import SellerRef
from marketplace_core.capabilities.orders import (
    EventLine,
    Line,
    LineDiscount,
    Order,
    OrderFailure,
    Package,
    PaymentView,
    PlacedOrder,
    SellerPackage,
    Shipment,
    ShippedItem,
    ShippingOption,
    TimelineEntry,
    TrackingEvent,
)
from marketplace_core.errors import NotFound
from marketplace_core.values import Address, Money, Page, PageQuery
from marketplace_orders import domain
from marketplace_orders.domain import commission

__all__ = ["address", "discounts", "event_lines", "order", "own_package", "page", "placed", "seller_package", "shipment"]

Url = Callable[[str], str]
"""Where a picture is shown, by what is kept of it."""


def order(record: domain.Order, url: Url, *, timeline: bool = True) -> Order:
    failure = OrderFailure(record.failure_code, record.failure_detail or "") if record.failure_code else None
    return Order(
        id=record.id,
        number=record.number,
        status=record.status,  # type: ignore[arg-type]
        failure=failure,
        email=record.email,
        address=address(record),
        packages=[package(record, item, url) for item in record.packages],
        coupon=record.coupon,
        subtotal=record.subtotal,
        discount=record.discount,
        tax=record.tax,
        tax_included=record.tax_included,
        shipping=record.shipping,
        total=record.total,
        payment=msgspec.convert(record.payment, PaymentView) if record.payment else None,
        returns=[],
        timeline=[TimelineEntry(e.at, e.type, e.actor, e.detail) for e in record.timeline] if timeline else [],  # type: ignore[arg-type]
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def placed(view: Order, token: str | None) -> PlacedOrder:
    return PlacedOrder(**msgspec.structs.asdict(view), token=token)


def address(record: domain.Order) -> Address:
    return msgspec.convert(record.address, Address)


def package(record: domain.Order, item: domain.Package, url: Url) -> Package:
    position = record.packages.index(item) + 1
    return Package(
        id=item.id,
        number=f"{record.number}-{position}" if record.number else None,
        seller=SellerRef(item.seller_id, item.seller_name),
        status=item.status,  # type: ignore[arg-type]
        items=[_line(line, url) for line in item.items],
        option=ShippingOption(item.option.carrier, item.option.service, item.option.days) if item.option else None,
        subtotal=item.subtotal,
        discount=item.discount,
        tax=item.tax,
        shipping=item.shipping,
        total=item.total,
        shipments=[shipment(one) for one in item.shipments],
    )


def _line(line: domain.Line, url: Url) -> Line:
    return Line(
        id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        sku=line.sku,
        title=line.title,
        options=line.options,
        image=line.image and url(line.image),
        quantity=line.quantity,
        unit_price=line.unit_price,
        subtotal=line.subtotal,
        discount=line.discount,
        tax=line.tax,
        tax_rate=line.tax_rate,
        total=line.total,
        shipped=line.shipped,
        cancelled=line.cancelled,
        returned=line.returned,
        discounts=discounts(line.discounts),
    )


def discounts(taken: Sequence[domain.Discount]) -> list[LineDiscount]:
    return [
        LineDiscount(code=one.code, label=one.label, funded_by=one.funded_by, amount=one.amount)  # type: ignore[arg-type]
        for one in taken
    ]


def shipment(record: domain.Shipment) -> Shipment:
    return Shipment(
        id=record.id,
        package_id=record.package_id,
        carrier=record.carrier,
        service=record.service,
        status=record.status,  # type: ignore[arg-type]
        tracking_number=record.tracking_number,
        tracking_token=record.tracking_token,
        items=[ShippedItem(item_id, quantity) for item_id, quantity in record.items.items()],
        estimated_delivery=record.estimated_delivery,
        events=[TrackingEvent(e.code, e.location, e.occurred_at) for e in record.events],
    )


def seller_package(record: domain.Order, item: domain.Package, url: Url) -> SellerPackage:
    """Without the buyer's name and phone once the package is completed or cancelled."""
    where = address(record)
    if item.status in {"completed", "cancelled"}:
        where = msgspec.structs.replace(where, name="-", phone="")
    fee = package_commission(item)
    return SellerPackage(
        **msgspec.structs.asdict(package(record, item, url)),
        order_id=record.id,
        order_number=record.number,
        address=where,
        buyer_note=None,
        commission=fee,
        net=item.total - fee + Money.sum((line.subsidy for line in item.items), fee.currency),
        created_at=record.created_at,
        updated_at=item.updated_at or record.updated_at,
    )


def package_commission(item: domain.Package) -> Money:
    """Of what the seller asks for the lines, each rounded for itself: without tax and shipping."""
    fees = (commission(line.commission_base, item.commission_rate) for line in item.items)
    return Money.sum(fees, item.total.currency)


def event_lines(package: domain.Package, units: domain.Units | None = None) -> list[EventLine]:
    """The package's lines, or the next ``units`` of them: to be asked for before those are shipped or cancelled."""
    wanted = {line.id: line.quantity for line in package.items} if units is None else units
    return [
        EventLine(
            item_id=line.id,
            variant_id=line.variant_id,
            product_id=line.product_id,
            seller_id=package.seller_id,
            quantity=wanted[line.id],
            unit_price=line.unit_price,
            total=domain.share(line, line.total, wanted),
        )
        for line in package.items
        if wanted.get(line.id)
    ]


def own_package(record: domain.Order, package_id: str, url: Url) -> SellerPackage:
    """:raises NotFound: the order has no such package."""
    package = record.package(package_id)
    if package is None:
        raise NotFound("There is no such package.")
    return seller_package(record, package, url)


def page(query: PageQuery, rows: list[domain.Order], url: Url) -> Page[Order]:
    found = query.page(rows, lambda record: (record.created_at, record.id))
    return Page([order(record, url, timeline=False) for record in found.items], found.next)
