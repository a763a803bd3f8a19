"""The codes of errors of orders."""

from __future__ import annotations

from marketplace_core.errors import declare_codes
from marketplace_core.scopes import declare_scopes

declare_codes(
    409,
    "cart.empty",
    "cart.changed",
    "coupons.not_applicable",
    "orders.in_progress",
    "orders.not_cancellable",
    "orders.not_shippable",
    "orders.wrong_state",
    "shipping.option_expired",
)
declare_scopes("seller", "orders")
declare_scopes("admin", "orders")
