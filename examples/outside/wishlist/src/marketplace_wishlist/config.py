"""Settings of ``[plugins.wishlist]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["WishlistConfig"]


class WishlistConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``limit``: how many products one account may wish for."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 200
