"""From lines and the catalogue's word on them to the cart that a shopper sees."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from marketplace_cart.store import Contents, Fact, Line, Snapshot
from marketplace_core.capabilities.cart import CartItem, CartProblem, CartView
from marketplace_core.capabilities.catalog import VariantView
from marketplace_core.values import LARGEST_AMOUNT, Money

__all__ = ["Seen", "cart_view", "observe", "snapshot"]

_GONE = Fact(0, False)
_encode = msgspec.msgpack.Encoder().encode
#: What is in one cart is in many.
_decode = functools.lru_cache(4096)(msgspec.msgpack.Decoder(Snapshot).decode)


class Seen(NamedTuple):
    """What was found out, by variant; ``snapshots`` of those that are not as they were last shown."""

    facts: dict[str, Fact]
    snapshots: dict[str, bytes]


def snapshot(view: VariantView, price: Money) -> bytes:
    return _encode(
        Snapshot(
            product_id=view.product_id,
            seller_id=view.seller.id,
            sku=view.sku,
            title=view.title,
            options=view.options,
            image=view.image,
            price=price.amount,
            currency=price.currency,
        )
    )


def observe(lines: Mapping[str, Line], currency: str | None, views: Mapping[str, VariantView]) -> Seen:
    """A variant that has gone, or that is sold in another currency now, cannot be bought and stays as it was shown."""
    facts, snapshots = {}, {}
    for variant_id, line in lines.items():
        view = views.get(variant_id)
        if view is None or not view.buyable or view.price is None or view.price.currency != currency:
            facts[variant_id] = _GONE
            continue
        was = None
        now = snapshot(view, view.price)
        if now != line.snapshot:
            snapshots[variant_id] = now
            before = _decode(line.snapshot).price
            was = before if before != view.price.amount else None
        facts[variant_id] = Fact(max(view.available, 0), True, was)
    return Seen(facts, snapshots)


def cart_view(
    contents: Contents, facts: Mapping[str, Fact], token: str | None, default_currency: str, url: Callable[[str], str]
) -> CartView:
    """``facts`` are of all lines. The subtotal leaves out what cannot be had at all, as a quote does.

    A sum is shown up to the largest amount: more of it is in no order.
    """
    currency = contents.currency or default_currency
    items: list[CartItem] = []
    problems: list[CartProblem] = []
    units = subtotal = 0
    for variant_id, line in contents.lines.items():
        shown, fact = _decode(line.snapshot), facts[variant_id]
        total = min(shown.price * line.quantity, LARGEST_AMOUNT)
        items.append(
            CartItem(
                variant_id=variant_id,
                product_id=shown.product_id,
                seller_id=shown.seller_id,
                sku=shown.sku,
                title=shown.title,
                options=shown.options,
                image=shown.image and url(shown.image),
                quantity=line.quantity,
                unit_price=Money(shown.price, currency),
                line_total=Money(total, currency),
                available=fact.available,
            )
        )
        units += line.quantity
        if fact.available > 0:
            subtotal = min(subtotal + total, LARGEST_AMOUNT)
        if not fact.buyable or fact.available < line.quantity or fact.was is not None:
            problems += _problems(variant_id, line.quantity, shown.price, currency, fact)
    return CartView(
        id=contents.id,
        token=token,
        items=items,
        quantity=units,
        subtotal=Money(subtotal, currency),
        problems=problems,
    )


def _problems(variant_id: str, quantity: int, price: int, currency: str, fact: Fact) -> list[CartProblem]:
    if not fact.buyable:
        return [CartProblem("unavailable", variant_id, "It is not for sale any more.")]
    found = []
    if fact.available < quantity:
        found.append(CartProblem("out_of_stock", variant_id, f"{fact.available} can be bought now."))
    if fact.was is not None:
        detail = f"It was {fact.was} and is {price} {currency} now, in minor units."
        found.append(CartProblem("price_changed", variant_id, detail))
    return found
