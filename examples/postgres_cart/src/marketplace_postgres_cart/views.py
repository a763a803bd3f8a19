"""From lines and the catalogue's word on them to the cart that a shopper sees."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from marketplace_core.capabilities.cart import CartItem, CartProblem, CartView
from marketplace_core.capabilities.catalog import VariantView
from marketplace_core.values import LARGEST_AMOUNT, Money
from marketplace_postgres_cart.domain import CartState, Line, Shown

__all__ = ["Fact", "cart_view", "observe", "shown"]


class Fact(Struct, frozen=True):
    """What was found out about a line. ``was``: the price shown before, where it is another now."""

    available: int
    buyable: bool
    was: Money | None = None


_GONE = Fact(0, False)


def shown(view: VariantView, price: Money) -> Shown:
    return Shown(
        product_id=view.product_id,
        seller_id=view.seller.id,
        sku=view.sku,
        title=view.title,
        options=view.options,
        image=view.image,
        price=price,
    )


def observe(cart: CartState, views: Mapping[str, VariantView], asked: set[str]) -> tuple[dict[str, Fact], bool]:
    """Facts of the lines that were ``asked`` about, which now are as they are shown; and whether one is another than before.

    A variant that has gone, or that is sold in another currency now, cannot be bought and stays as it was shown.
    """
    facts, changed, currency = {}, False, cart.currency
    for line in cart.lines:
        if line.variant_id not in asked:
            continue
        view = views.get(line.variant_id)
        if view is None or not view.buyable or view.price is None or view.price.currency != currency:
            facts[line.variant_id] = _GONE
            continue
        now, before = shown(view, view.price), line.shown
        facts[line.variant_id] = Fact(max(view.available, 0), True, None if before.price == now.price else before.price)
        changed |= now != before
        line.shown = now
    return facts, changed


def cart_view(cart: CartState, facts: Mapping[str, Fact], token: str | None, default_currency: str) -> CartView:
    """``facts`` are of all lines. The subtotal leaves out what cannot be had at all, as a quote does."""
    totals = [line.shown.price.amount * line.quantity for line in cart.lines if facts[line.variant_id].available]
    return CartView(
        id=cart.id,
        token=token,
        items=[_item(line, facts[line.variant_id]) for line in cart.lines],
        quantity=sum(line.quantity for line in cart.lines),
        subtotal=Money(min(sum(totals), LARGEST_AMOUNT), cart.currency or default_currency),
        problems=[problem for line in cart.lines for problem in _problems(line, facts[line.variant_id])],
    )


def _item(line: Line, fact: Fact) -> CartItem:
    price = line.shown.price
    return CartItem(
        variant_id=line.variant_id,
        product_id=line.shown.product_id,
        seller_id=line.shown.seller_id,
        sku=line.shown.sku,
        title=line.shown.title,
        options=line.shown.options,
        image=line.shown.image,
        quantity=line.quantity,
        unit_price=price,
        line_total=Money(min(price.amount * line.quantity, LARGEST_AMOUNT), price.currency),
        available=fact.available,
    )


def _problems(line: Line, fact: Fact) -> list[CartProblem]:
    if not fact.buyable:
        return [CartProblem("unavailable", line.variant_id, "It is not for sale any more.")]
    found = []
    if fact.available < line.quantity:
        found.append(CartProblem("out_of_stock", line.variant_id, f"{fact.available} can be bought now."))
    if fact.was is not None:
        detail = f"It was {fact.was.amount} and is {line.shown.price.amount} {fact.was.currency} now, in minor units."
        found.append(CartProblem("price_changed", line.variant_id, detail))
    return found
