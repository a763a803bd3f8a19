"""Events of which a provider of reports is told, as short as a rule has them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec

from marketplace_core.capabilities.orders import EventLine, EventPackage, OrderConfirmed, PackageShipped
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.values import Address, Money, new_id, utc_text

__all__ = ["at", "confirmed", "eur", "line", "sent", "shipped"]

ADA, BOB = "01920000-0000-7000-8000-00000000000a", "01920000-0000-7000-8000-00000000000b"
HERE, THERE = "01920000-0000-7000-8000-0000000000c1", "01920000-0000-7000-8000-0000000000c2"
FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)


def eur(cents: int, currency: str = "EUR") -> Money:
    return Money(cents, currency)


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def sent(event: Event, when: datetime, *, id_: str | None = None, sequence: int = 1) -> str:
    """The JSON of an event's envelope."""
    envelope = Envelope(
        id=id_ or new_id(),
        type=event.type,
        version=event.version,
        key=event.key,
        occurred_at=utc_text(when),
        data=msgspec.Raw(encode_data(event)),
        sequence=sequence,
    )
    return msgspec.json.encode(envelope).decode()


def line(seller: str, quantity: int, price: int, currency: str = "EUR") -> EventLine:
    money = eur(price, currency)
    return EventLine(
        item_id=new_id(),
        variant_id=new_id(),
        product_id=new_id(),
        seller_id=seller,
        quantity=quantity,
        unit_price=money,
        total=money * quantity,
    )


def confirmed(
    *lines: EventLine,
    account: str | None = ADA,
    discount: int = 0,
    shipping: int = 0,
    order: str | None = None,
    region: str = "",
) -> OrderConfirmed:
    """An order of these lines, a package for each seller; each package has the discount and costs the shipping."""
    currency = lines[0].total.currency
    packages = []
    for seller in dict.fromkeys(one.seller_id for one in lines):
        subtotal = Money.sum((one.total for one in lines if one.seller_id == seller), currency)
        total = subtotal + eur(shipping - discount, currency)
        packages.append(
            EventPackage(
                package_id=new_id(),
                seller_id=seller,
                subtotal=subtotal,
                discount=eur(discount, currency),
                shipping=eur(shipping, currency),
                total=total,
            )
        )
    return OrderConfirmed(
        order_id=order or new_id(),
        number="1",
        account_id=account,
        total=Money.sum((package.total for package in packages), currency),
        lines=list(lines),
        packages=tuple(packages),
        country="BR" if region else "",
        region=region,
    )


def shipped(seller: str, units: int, *, package: str, commission: int = 0, promised: str | None = None) -> PackageShipped:
    return PackageShipped(
        order_id=new_id(),
        package_id=package,
        shipment_id=new_id(),
        seller_id=seller,
        lines=[line(seller, units, 100)],
        amount=eur(units * 100),
        commission=eur(commission),
        shipping=eur(0),
        tax=eur(0),
        remaining=eur(0),
        origin_country="DE",
        carrier="simulator",
        service="standard",
        tracking_number="T1",
        address=Address(
            name="Ada", line1="Some Street 1", line2="", city="Town", region="", postal_code="1", country="DE", phone=""
        ),
        promised=promised,
    )
