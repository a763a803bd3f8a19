"""Settings of ``[plugins.postgres_cart]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["PostgresCartConfig"]


class PostgresCartConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How large a cart may be, and how long one is kept that nobody changes.

    ``line_limit``: different variants in a cart. ``quantity_limit``: units of one variant.
    ``days``: after the last change.
    """

    line_limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    quantity_limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 9999
    days: Annotated[int, Meta(ge=1, le=3650)] = 90
