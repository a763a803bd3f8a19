"""Events as a marketplace tells them, by the hundred thousand: of each type some that differ, each with its own id."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from marketplace_core.capabilities.cart import CartItemAdded
from marketplace_core.capabilities.catalog import StockChanged
from marketplace_core.capabilities.orders import (
    EventLine,
    EventPackage,
    OrderConfirmed,
    OrderPlaced,
    PackageDelivered,
    PackageShipped,
)
from marketplace_core.capabilities.orders.values import PaymentMethod, PaymentView
from marketplace_core.capabilities.payments import PaymentChanged
from marketplace_core.capabilities.recommendations import Signal, SignalsGiven
from marketplace_core.capabilities.reviews import ReviewChanged
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.ports import Message
from marketplace_core.values import Address, Money, new_id, utc_text

__all__ = ["SHARES", "TOPICS", "messages"]

#: Of a hundred events, so many are of each type.
SHARES: dict[type[Event], int] = {
    SignalsGiven: 40,
    CartItemAdded: 16,
    OrderPlaced: 8,
    OrderConfirmed: 7,
    PaymentChanged: 8,
    PackageShipped: 7,
    PackageDelivered: 6,
    ReviewChanged: 4,
    StockChanged: 4,
}
TOPICS = tuple(sorted({cls.topic for cls in SHARES}))
KINDS, BEGAN = 64, datetime(2026, 1, 1, tzinfo=UTC)
#: Stand in an encoded event for what each has for itself.
ID, KEY = "00000000-0000-7000-8000-000000000000", "00000000-0000-7000-8000-000000000001"


def messages(count: int, seed: int = 15) -> Iterator[Message]:
    """So many, in the shares above, as they stand on the bus."""
    chance = random.Random(seed)
    kinds = {cls: [_encoded(cls, chance) for _ in range(KINDS)] for cls in SHARES}
    drawn = chance.choices(list(SHARES), list(SHARES.values()), k=count)
    for number, cls in enumerate(drawn):
        key = f"01920000-0000-7000-9000-{number:012x}"
        envelope = kinds[cls][number % KINDS].replace(ID, f"01920000-0000-7000-8000-{number:012x}").replace(KEY, key)
        yield Message(cls.topic, cls.type, key, 1, envelope, "main")


def _encoded(cls: type[Event], chance: random.Random) -> str:
    event = _MADE[cls](chance)
    at = BEGAN + timedelta(seconds=chance.randrange(20 * 86_400), milliseconds=chance.randrange(1000))
    envelope = Envelope(
        id=ID,
        type=cls.type,
        version=cls.version,
        key=KEY,
        occurred_at=utc_text(at),
        trace=f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64):016x}-01",
        actor=new_id(),
        data=msgspec.Raw(encode_data(event)),
    )
    return msgspec.json.encode(envelope).decode()


def _money(chance: random.Random) -> Money:
    return Money(chance.randrange(100, 50_000), "EUR")


def _line(chance: random.Random) -> EventLine:
    price, quantity = _money(chance), chance.randrange(1, 4)
    return EventLine(
        item_id=new_id(),
        variant_id=new_id(),
        product_id=new_id(),
        seller_id=new_id(),
        quantity=quantity,
        unit_price=price,
        total=price * quantity,
    )


def _lines(chance: random.Random) -> list[EventLine]:
    return [_line(chance) for _ in range(chance.randrange(1, 4))]


def _signals(chance: random.Random) -> SignalsGiven:
    signals = tuple(Signal(type="view", product_id=new_id(), source="feed", at=BEGAN) for _ in range(3))
    return SignalsGiven(entrance=KEY, person=new_id(), signals=signals)


def _added(chance: random.Random) -> CartItemAdded:
    return CartItemAdded(cart_id=KEY, variant_id=new_id(), quantity=1, total=1)


def _placed(chance: random.Random) -> OrderPlaced:
    return OrderPlaced(
        order_id=KEY,
        account_id=new_id(),
        total=_money(chance),
        payment=PaymentMethod(method="card", token="tok_ok"),
        reservation=new_id(),
        expires_at=BEGAN,
        lines=_lines(chance),
        cart_id=new_id(),
    )


def _confirmed(chance: random.Random) -> OrderConfirmed:
    package = EventPackage(
        package_id=new_id(),
        seller_id=new_id(),
        subtotal=_money(chance),
        discount=Money.zero("EUR"),
        shipping=_money(chance),
        total=_money(chance),
    )
    return OrderConfirmed(
        order_id=KEY,
        number="000001",
        account_id=new_id(),
        total=package.total,
        lines=_lines(chance),
        cart_id=new_id(),
        packages=(package,),
    )


def _paid(chance: random.Random) -> PaymentChanged:
    paid = _money(chance)
    zero = Money.zero("EUR")
    view = PaymentView(id=new_id(), gateway="simulator", status="captured", authorized=paid, captured=paid, refunded=zero)
    return PaymentChanged(order_id=KEY, payment=view)


def _shipped(chance: random.Random) -> PackageShipped:
    address = Address(name="A Buyer", line1="Street 1", city="Berlin", region="", postal_code="10115", country="DE")
    return PackageShipped(
        order_id=KEY,
        package_id=new_id(),
        shipment_id=new_id(),
        seller_id=new_id(),
        lines=_lines(chance),
        amount=_money(chance),
        commission=_money(chance),
        shipping=_money(chance),
        tax=_money(chance),
        remaining=Money.zero("EUR"),
        origin_country="DE",
        carrier="simulator",
        service="standard",
        tracking_number=f"T{chance.getrandbits(40)}",
        address=address,
        tracking_token=new_id(),
        promised="2026-01-20",
    )


def _delivered(chance: random.Random) -> PackageDelivered:
    return PackageDelivered(order_id=KEY, package_id=new_id(), seller_id=new_id())


def _reviewed(chance: random.Random) -> ReviewChanged:
    return ReviewChanged(
        review_id=KEY,
        product_id=new_id(),
        seller_id=new_id(),
        account_id=new_id(),
        rating=chance.randrange(1, 6),
        status="published",
        version_number=1,
    )


def _stock(chance: random.Random) -> StockChanged:
    return StockChanged(product_id=KEY, available={new_id(): chance.randrange(100)})


_MADE: dict[type[Event], Callable[[random.Random], Event]] = {
    SignalsGiven: _signals,
    CartItemAdded: _added,
    OrderPlaced: _placed,
    OrderConfirmed: _confirmed,
    PaymentChanged: _paid,
    PackageShipped: _shipped,
    PackageDelivered: _delivered,
    ReviewChanged: _reviewed,
    StockChanged: _stock,
}
