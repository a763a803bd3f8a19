"""What plugins may add to orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from marketplace_core.capabilities.orders.port import Orders
from marketplace_core.capabilities.orders.values import Discount, Pricing
from marketplace_core.hookspecs import hookspec

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext


class OrdersHooks:
    @hookspec
    def provide_orders(self, context: PluginContext) -> Orders:  # type: ignore[empty-body]
        """The capability's provider."""

    @hookspec
    async def price_rules(self, pricing: Pricing) -> Mapping[str, Discount]:  # type: ignore[empty-body]
        """Discounts by code; a contribution, asked for by each quote and by each order before it is written.

        Each rule sees list prices. In the deployment's order each takes off what it says, as far as something is left of a
        line: no line goes below 0, and what a later rule could not take is nobody's. A code of two plugins is an error. A rule
        that fails, or takes longer than ``hook_seconds``, leaves a quote without discounts, with the problem
        ``discounts_unknown``; no order is placed meanwhile (503), so that nobody pays more than was promised.
        """
