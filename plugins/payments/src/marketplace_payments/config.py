"""Settings of ``[plugins.payments]``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["PaymentsConfig"]

Keeper = Literal["seller", "marketplace"]


class PaymentsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """When gateways are asked by ourselves, and whose money is what.

    ``ask_seconds``: how often about a payment that waits for its holder. ``unknown_seconds``: how long after a call without
    an answer, where nobody asks again.
    ``shipping_to``, ``tax_to``: who keeps what the buyer pays of these: the seller, who buys the labels and owes the tax,
    or the marketplace, which then does.
    ``webhook_days``: how long webhooks are kept that were applied, ignored or flagged.
    """

    ask_seconds: Annotated[int, Meta(ge=1)] = 5
    unknown_seconds: Annotated[int, Meta(ge=5)] = 60
    shipping_to: Keeper = "seller"
    tax_to: Keeper = "seller"
    webhook_days: Annotated[int, Meta(ge=1, le=3650)] = 30
