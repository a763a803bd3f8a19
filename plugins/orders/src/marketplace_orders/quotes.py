"""Sums of a purchase, as a quote and as the order that it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from marketplace_core.capabilities.catalog import LineRequest, Reservation, VariantView
from marketplace_core.capabilities.orders import (
    CouponView,
    Quote,
    QuoteItem,
    QuoteOption,
    QuotePackage,
    QuoteProblem,
    Shipment,
)
from marketplace_core.values import Money, new_id
from marketplace_orders import domain, views
from marketplace_orders.checkout import Basket, Buyer, Part, PricedLine

__all__ = ["order", "price_lines", "quote", "shipment", "total"]

_NO_TAX = "0"


def price_lines(
    lines: Sequence[LineRequest], found: Mapping[str, VariantView], held: Mapping[str, int]
) -> tuple[list[PricedLine], list[QuoteProblem]]:
    """What can be bought of the lines, at prices of now; of the rest, why not. ``held``: units that are there beside."""
    priced, problems = [], []
    for index, line in enumerate(lines):
        view = found.get(line.variant_id)
        if view is None or not view.buyable or view.price is None:
            problems.append(QuoteProblem("unavailable", line.variant_id, "It is not for sale any more."))
            continue
        available = view.available + held.get(view.id, 0)
        if available < line.quantity:
            detail = f"{available} can be bought now."
            problems.append(QuoteProblem("out_of_stock", line.variant_id, detail))
            if available == 0:
                continue
        seller = view.seller
        priced.append(
            PricedLine(
                index,
                view.id,
                seller.id,
                seller.name,
                line.quantity,
                view.price,
                view.product_id,
                view.category_id,
                view.weight_g,
                view.digital,
            )
        )
    return priced, problems


def total(parts: Sequence[Part]) -> Money:
    """What the buyer pays for all parts with what is selected."""
    currency = parts[0].lines[0].unit_price.currency
    return Money.sum((part.total for part in parts), currency)


def quote(
    parts: Sequence[Part],
    coupon: str | None,
    problems: list[QuoteProblem],
    expires_at: datetime,
    *,
    tax_included: bool,
) -> Quote:
    currency = parts[0].lines[0].unit_price.currency
    zero = Money.zero(currency)
    return Quote(
        packages=[_quote_package(part, zero) for part in parts],
        coupon=None if coupon is None else CouponView(coupon, False, "There is no such coupon."),
        subtotal=Money.sum((part.subtotal for part in parts), currency),
        discount=Money.sum((part.discount for part in parts), currency),
        tax=zero,
        tax_included=tax_included,
        shipping=Money.sum((part.shipping for part in parts), currency),
        total=total(parts),
        expires_at=expires_at,
        problems=problems,
    )


def _quote_package(part: Part, zero: Money) -> QuotePackage:
    return QuotePackage(
        seller_id=part.seller_id,
        items=[
            QuoteItem(
                variant_id=line.variant_id,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discount=line.discount,
                tax=zero,
                total=line.total,
                discounts=views.discounts(line.discounts),
            )
            for line in part.lines
        ],
        options=[
            QuoteOption(
                id=option.id,
                carrier=option.carrier,
                service=option.service,
                price=option.price,
                days=option.days,
                estimated=option.estimated,
            )
            for option in part.options
        ],
        selected=part.selected.id if part.selected else None,
    )


def order(
    now: datetime,
    buyer: Buyer,
    basket: Basket,
    reservation: Reservation,
    parts: Sequence[Part],
    *,
    tax_included: bool,
) -> domain.Order:
    """The order as it is written: what the reservation froze, split by seller."""
    currency = reservation.lines[0].unit_price.currency
    zero = Money.zero(currency)
    packages = [_package(part, reservation, zero, now) for part in parts]
    return domain.Order(
        id=new_id(),
        account_id=buyer.account_id,
        email=buyer.email,
        status="pending",
        number=None,
        failure_code=None,
        failure_detail=None,
        address=msgspec.to_builtins(buyer.address),
        packages=packages,
        coupon=None,
        tax_included=tax_included,
        subtotal=Money.sum((package.subtotal for package in packages), currency),
        discount=Money.sum((package.discount for package in packages), currency),
        tax=zero,
        shipping=Money.sum((package.shipping for package in packages), currency),
        total=Money.sum((package.total for package in packages), currency),
        payment=None,
        reservation=reservation.key,
        cart_id=basket.cart_id,
        guest=buyer.account_id is None,
        timeline=[domain.Timeline(now, "orders.placed", "buyer")],
        created_at=now,
        updated_at=now,
    )


def _package(part: Part, reservation: Reservation, zero: Money, now: datetime) -> domain.Package:
    option = part.selected
    lines = [_line(reservation, line, zero) for line in part.lines]
    return domain.Package(
        id=new_id(),
        seller_id=part.seller_id,
        seller_name=part.seller_name,
        country=part.terms.country,
        commission_rate=part.terms.commission_rate,
        status="pending",
        items=lines,
        option=domain.Option(option.carrier, option.service, option.days) if option else None,
        subtotal=part.subtotal,
        discount=part.discount,
        tax=zero,
        shipping=part.shipping,
        total=part.total,
        captured=zero,
        updated_at=now,
    )


def _line(reservation: Reservation, priced: PricedLine, zero: Money) -> domain.Line:
    held = reservation.lines[priced.place]
    return domain.Line(
        id=new_id(),
        variant_id=held.variant_id,
        product_id=held.product_id,
        sku=held.sku,
        title=held.title,
        options=held.options,
        image=held.image,
        quantity=held.quantity,
        unit_price=held.unit_price,
        subtotal=priced.subtotal,
        discount=priced.discount,
        tax=zero,
        tax_rate=_NO_TAX,
        total=priced.total,
        category_id=held.category_id,
        weight_g=0 if held.digital else held.weight_g,
        discounts=list(priced.discounts),
    )


def shipment(view: Shipment) -> domain.Shipment:
    """What logistics tells of a shipment, as the order keeps it."""
    return domain.Shipment(
        id=view.id,
        package_id=view.package_id,
        carrier=view.carrier,
        service=view.service,
        status=view.status,
        tracking_number=view.tracking_number,
        tracking_token=view.tracking_token,
        items={item.item_id: item.quantity for item in view.items},
        estimated_delivery=view.estimated_delivery,
        events=[domain.TrackingEvent(event.code, event.location, event.occurred_at) for event in view.events],
    )
