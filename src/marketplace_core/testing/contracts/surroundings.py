"""What is around a provider in its suite: other plugins that tell of events, simulators that send webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from marketplace_core.capabilities.orders import EventLine, PackageShipped, PaymentMethod
from marketplace_core.capabilities.payments import Authorize
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.ports import Message
from marketplace_core.testing.contracts.hooks import KEY, signed
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import Address, Money, new_id, utc_text
from marketplace_core.webhooks import RawWebhook

__all__ = ["BUYER", "CARRIER", "EUR", "hook", "known", "moved", "request", "shipped", "tell"]

T = TypeVar("T")
EUR = Money(1001, "EUR")
CARRIER = "simulator"
BUYER = Address(name="Ada Lovelace", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE", phone="+49 1")


async def tell(market: Marketplace, event: Event, sequence: int = 1, *, times: int = 1, failures: bool = False) -> None:
    """Bring an event over the bus as another plugin's, so many times; what comes of it has happened when this returns.

    ``sequence`` numbers it among those of its aggregate: an event that is told anew, and not only delivered again, has another.
    ``failures``: as of :meth:`~marketplace_core.testing.marketplace.Marketplace.settle`.
    """
    envelope = Envelope(
        id=new_id(),
        type=event.type,
        version=event.version,
        key=event.key,
        occurred_at=utc_text(market.clock.now()),
        data=msgspec.Raw(encode_data(event)),
    )
    text = msgspec.json.encode(envelope).decode()
    await market.process.bus.publish([Message(event.topic, event.type, event.key, sequence, text)] * times)
    await market.settle(failures=failures)


def hook(market: Marketplace, type_: str, data: Any, **how: Any) -> RawWebhook:
    """A webhook as the simulators sign it; ``how``: ``id_``, ``key``, ``age`` in seconds, ``source``."""
    id_ = how.get("id_") or f"msg_{new_id()}"
    body = msgspec.json.encode({"type": type_, "id": id_, "data": data})
    at = market.clock.now() - timedelta(seconds=how.get("age", 0))
    headers, _ = signed(body, id_, at, how.get("key", KEY))
    return RawWebhook(how.get("source", "simulator"), headers, body)


# ── payments ─────────────────────────────────────────────────────────────────────────────────────────────────


def request(market: Marketplace, order_id: str, token: str = "tok_ok", amount: Money = EUR) -> Authorize:  # noqa: S107
    return Authorize(
        order_id=order_id,
        account_id=None,
        amount=amount,
        method=PaymentMethod("card", token),
        expires_at=market.clock.now() + timedelta(seconds=900),
    )


async def known(ask: Callable[[], Awaitable[T]]) -> T:
    """As a saga does: what is unknown is asked again."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.05)


async def moved(simulator: Simulator, order_id: str) -> list[tuple[str, int]]:
    """What really happened at the gateway: kinds and amounts, in order."""
    return [(row["kind"], row["amount"]["amount"]) for row in await simulator.ledger(order_id)]


# ── logistics ────────────────────────────────────────────────────────────────────────────────────────────────


def shipped(**changes: Any) -> PackageShipped:
    """A package that the simulated carrier takes; whatever is named is otherwise."""
    eur = Money(1000, "EUR")
    line = EventLine(
        item_id=new_id(), variant_id="v", product_id="p", seller_id="seller", quantity=2, unit_price=eur, total=eur * 2
    )
    fields: dict[str, Any] = {
        "order_id": new_id(),
        "package_id": new_id(),
        "shipment_id": new_id(),
        "seller_id": "seller",
        "lines": [line],
        "amount": eur,
        "commission": eur,
        "shipping": eur,
        "tax": eur,
        "remaining": eur,
        "origin_country": "DE",
        "carrier": CARRIER,
        "service": "standard",
        "tracking_number": None,
        "address": BUYER,
        "tracking_token": new_id(),
        "weight_g": 750,
    }
    return PackageShipped(**(fields | changes))
