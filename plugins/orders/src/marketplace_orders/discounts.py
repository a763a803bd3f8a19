"""What price rules take off: asking them, and putting what they give together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from marketplace_core.capabilities.orders import Discount, Pricing, PricingLine
from marketplace_core.errors import Unavailable
from marketplace_core.extensions import ExtensionError, Extensions
from marketplace_core.values import Clock, Money
from marketplace_orders import domain
from marketplace_orders.checkout import PricedLine

__all__ = ["NoDiscount", "PriceRules", "take_off"]

log = structlog.get_logger("marketplace.orders")


class NoDiscount(ValueError):
    """What a rule gave is none; says why."""


class PriceRules:
    """The price rules of the deployment's plugins."""

    def __init__(self, extensions: Extensions, clock: Clock) -> None:
        self._extensions = extensions
        self._clock = clock

    async def apply(self, lines: Sequence[PricedLine], account_id: str | None) -> list[PricedLine]:
        """The lines with their discounts. :raises Unavailable: a rule failed, or gave what cannot be."""
        pricing = Pricing(
            lines=tuple(map(_shown, lines)),
            account_id=account_id,
            currency=lines[0].unit_price.currency,
            at=self._clock.now(),
        )
        try:
            return take_off(lines, await self._extensions.contribute("price_rules", pricing=pricing))
        except (ExtensionError, NoDiscount) as error:
            log.error("orders.price_rules_failed", cause=str(error))
            raise Unavailable("It cannot be told now what is taken off the price.") from error


def _shown(line: PricedLine) -> PricingLine:
    return PricingLine(
        variant_id=line.variant_id,
        product_id=line.product_id,
        seller_id=line.seller_id,
        category_id=line.category_id,
        quantity=line.quantity,
        unit_price=line.unit_price,
    )


def take_off(lines: Sequence[PricedLine], rules: Mapping[str, Discount]) -> list[PricedLine]:
    """Each rule in turn takes what it says, as far as something is left of a line.

    :raises NoDiscount: a rule does not fit the lines, or would raise a price.
    """
    for code, rule in rules.items():
        _check(code, rule, lines)
    return [
        line._replace(discounts=_of_line(line.subtotal, [(code, rule, rule.amounts[index]) for code, rule in rules.items()]))
        for index, line in enumerate(lines)
    ]


def _of_line(left: Money, wanted: Sequence[tuple[str, Discount, Money]]) -> tuple[domain.Discount, ...]:
    taken = []
    for code, rule, amount in wanted:
        amount_taken = min(amount, left, key=lambda money: money.amount)
        if amount_taken.amount:
            taken.append(domain.Discount(code, rule.label, rule.funded_by, amount_taken))
            left = left - amount_taken
    return tuple(taken)


def _check(code: str, rule: Any, lines: Sequence[PricedLine]) -> None:
    if not isinstance(rule, Discount):
        raise NoDiscount(f"{code!r} is a {type(rule).__name__}, and no Discount")
    if len(rule.amounts) != len(lines):
        raise NoDiscount(f"{code!r} has {len(rule.amounts)} amounts for {len(lines)} lines")
    for amount, line in zip(rule.amounts, lines, strict=True):
        if amount.currency != line.unit_price.currency:
            raise NoDiscount(f"{code!r} is in {amount.currency}, and the purchase in {line.unit_price.currency}")
        if amount.amount < 0:
            raise NoDiscount(f"{code!r} would raise a price")
