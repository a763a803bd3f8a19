"""From a batch of events to what is written of it: each product once, as its last event leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
import structlog

from marketplace_core.capabilities.cart import CartItemAdded, CartMerged
from marketplace_core.capabilities.catalog import Card, ProductChanged, ProductPage, StockChanged
from marketplace_core.capabilities.orders import OrderConfirmed
from marketplace_core.capabilities.recommendations import SignalsGiven
from marketplace_core.capabilities.sellers import SellerChanged
from marketplace_core.events import Envelope, Event, Unreadable
from marketplace_recommendations.domain import WEIGHTS, heat
from marketplace_recommendations.store import Changes, ProductFact, SellerFact, SignalRow

__all__ = ["SHELVES", "SIGNALS", "changes_of", "fact_of"]

log = structlog.get_logger("marketplace.recommendations")

SHELVES = ("catalog", "sellers")
SIGNALS = ("cart", "orders", "recommendations")
_TYPES: tuple[type[Event], ...] = (
    ProductChanged,
    StockChanged,
    SellerChanged,
    CartItemAdded,
    CartMerged,
    OrderConfirmed,
    SignalsGiven,
)
_FOLLOWED = frozenset(cls.type for cls in _TYPES)


def changes_of(envelopes: Iterable[Envelope], half_life: float) -> Changes:
    """``half_life`` in seconds. What this release cannot read is left out: the batch would never be done."""
    products: dict[str, ProductFact] = {}
    sellers: dict[str, SellerFact] = {}
    signals: list[SignalRow] = []
    for envelope in envelopes:
        if envelope.type not in _FOLLOWED:
            continue
        try:
            event = envelope.decode()
        except Unreadable as error:
            log.error("recommendations.unreadable", event=envelope.id, type=envelope.type, error=str(error))
            continue
        if isinstance(event, ProductChanged | StockChanged):
            products[event.product_id] = _folded(products.get(event.product_id), event, envelope)
        elif isinstance(event, SellerChanged):
            fact = SellerFact(event.seller_id, event.status == "active", event.version_number)
            if event.seller_id not in sellers or sellers[event.seller_id].version < fact.version:
                sellers[event.seller_id] = fact
        else:
            signals += _signals(event, envelope, half_life)
    return Changes(list(products.values()), list(sellers.values()), signals)


def _folded(before: ProductFact | None, event: ProductChanged | StockChanged, envelope: Envelope) -> ProductFact:
    at = _at(envelope)
    number = {"sequence": envelope.sequence, "writer": envelope.writer}
    if isinstance(event, StockChanged):
        if before is None:
            return ProductFact(id=event.product_id, at=at, available=dict(event.available), **number)  # type: ignore[arg-type]
        return msgspec.structs.replace(before, available={**before.available, **event.available}, **number)
    page = event.page
    if page is None or not page.variants:
        hidden = msgspec.json.encode(None).decode()
        fact = ProductFact(id=event.product_id, at=at, available={}, card=hidden, shown=False, **number)  # type: ignore[arg-type]
        return msgspec.structs.replace(fact, seller_id=event.seller_id)
    return fact_of(page, at, envelope.sequence, envelope.writer)


def fact_of(page: ProductPage, at: datetime, sequence: int = 0, writer: str = "") -> ProductFact:
    """With sequence 0, of no event: it is written only where nothing is known of the product."""
    return ProductFact(
        id=page.id,
        at=at,
        available={variant.id: variant.available for variant in page.variants},
        card=msgspec.json.encode(_card(page)).decode(),
        seller_id=page.seller.id,
        category_id=page.category.id if page.category else None,
        category_path=page.category.path if page.category else [],
        title=page.title,
        sequence=sequence,
        writer=writer,
    )


def _card(page: ProductPage) -> Card:
    """As lists of the catalogue show it; it is only shown while it can be bought."""
    cheapest = min(page.variants, key=lambda variant: variant.price.amount)
    return Card(
        id=page.id,
        slug=page.slug,
        title=page.title,
        seller=page.seller,
        price=cheapest.price,
        compare_at=cheapest.compare_at,
        image=page.images[0].sized("card") if page.images else None,
        rating=page.rating,
        in_stock=True,
    )


def _signals(event: Event, envelope: Envelope, half_life: float) -> Iterator[SignalRow]:
    at = _at(envelope)
    if isinstance(event, SignalsGiven):
        given = [(each.type, each.product_id, None, each.source, each.at) for each in event.signals]
        yield from _rows(envelope, event.person, given, half_life)
    elif isinstance(event, CartItemAdded):
        # An account's cart has the account's id, and a guest's one that opens nothing.
        yield from _rows(envelope, event.cart_id, [("cart", None, event.variant_id, None, at)], half_life)
    elif isinstance(event, CartMerged):
        lines = [("cart", None, line.variant_id, None, at) for line in event.lines]
        yield from _rows(envelope, event.cart_id, lines, half_life)
    elif isinstance(event, OrderConfirmed):
        bought = [("purchase", line.product_id, None, None, at) for line in event.lines]
        yield from _rows(envelope, event.account_id, bought, half_life)


def _rows(
    envelope: Envelope,
    person: str | None,
    given: Sequence[tuple[str, str | None, str | None, str | None, datetime]],
    half_life: float,
) -> Iterator[SignalRow]:
    for position, (kind, product_id, variant_id, source, at) in enumerate(given):
        weight = WEIGHTS[kind]
        yield SignalRow(
            event_id=envelope.id,
            position=position,
            person=person,
            product_id=product_id,
            variant_id=variant_id,
            kind=kind,
            source=source,
            at=at,
            heat=heat(weight, at.timestamp(), half_life) if weight else None,
        )


def _at(envelope: Envelope) -> datetime:
    return datetime.fromisoformat(envelope.occurred_at)
