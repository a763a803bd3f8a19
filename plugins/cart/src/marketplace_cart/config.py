"""Settings of ``[plugins.cart]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["CartConfig"]

Days = Annotated[int, Meta(ge=1, le=3650)]


class CartConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How large a cart may be, and how long one that nobody uses is kept.

    ``line_limit``: different variants in a cart. ``quantity_limit``: units of one variant.
    ``guest_days``, ``account_days``: days after the last use.
    """

    line_limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    quantity_limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 9999
    guest_days: Days = 30
    account_days: Days = 180
