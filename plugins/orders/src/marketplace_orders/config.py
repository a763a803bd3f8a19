"""Settings of ``[plugins.orders]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["OrdersConfig"]


class OrdersConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How orders are numbered and how long things last.

    ``series`` and ``number_format``: consecutive numbers per series; the format has ``{number}``.
    ``reserve_seconds``: how long stock is held for an order whose payment is under way.
    ``action_seconds``: how long a buyer has to act where a payment needs it.
    ``guest_reserve_seconds``, ``guest_action_seconds``: the same for guests, whom nothing else holds back.
    ``open_orders``, ``open_units``: how many unpaid orders, and units held by them, one account or one address may have.
    ``quote_seconds``: how long a quote says that it holds.
    ``complete_days``: after delivery an order is completed.
    ``line_weight_g``: grams per unit whose product does not say.
    """

    series: str = "orders"
    number_format: str = "{number:06d}"
    reserve_seconds: Annotated[int, Meta(ge=60)] = 1800
    action_seconds: Annotated[int, Meta(ge=60)] = 900
    guest_reserve_seconds: Annotated[int, Meta(ge=60)] = 600
    guest_action_seconds: Annotated[int, Meta(ge=60)] = 600
    open_orders: Annotated[int, Meta(ge=1)] = 20
    open_units: Annotated[int, Meta(ge=1)] = 10_000
    quote_seconds: Annotated[int, Meta(ge=60)] = 900
    complete_days: Annotated[int, Meta(ge=0)] = 14
    line_weight_g: Annotated[int, Meta(ge=1)] = 500
