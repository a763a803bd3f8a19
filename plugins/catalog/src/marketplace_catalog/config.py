"""Settings of ``[plugins.catalog]``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["CatalogConfig"]


class CatalogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What of a title is kept in an address, and for how long reservations are remembered that have ended.

    ``slug_length``: characters. ``reservation_days``: after the end of one that was given back or expired; until then a call
    that comes late finds it. ``committed_days``: of one that was committed, which a checkout that waits for a person may have
    to give back.
    ``max_images``: of a product. ``show``: a picture waits for moderation (``approved``), or is shown until moderation rejects
    it (``first``). Where the deployment has no moderation it is shown at once.
    """

    slug_length: Annotated[int, Meta(ge=10, le=200)] = 80
    reservation_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    committed_days: Annotated[int, Meta(ge=30, le=36500)] = 365
    max_images: Annotated[int, Meta(ge=1, le=200)] = 30
    show: Literal["approved", "first"] = "approved"
