"""Settings of ``[plugins.catalog]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from marketplace_core.capabilities.moderation import Show

__all__ = ["CatalogConfig"]


class CatalogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is shown before it was judged, what of a title is kept in an address, and for how long reservations are remembered
    that have ended.

    ``show``, of a product that its seller publishes, or changes, and of a picture: see
    :data:`~marketplace_core.capabilities.moderation.Show`. ``max_images``: of a product. ``slug_length``: characters.
    ``reservation_days``: after the end of one that was given back or expired; until then a call that comes late finds it.
    ``committed_days``: of one that was committed, which a checkout that waits for a person may have to give back.
    """

    show: Show = "first"
    slug_length: Annotated[int, Meta(ge=10, le=200)] = 80
    reservation_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    committed_days: Annotated[int, Meta(ge=30, le=36500)] = 365
    max_images: Annotated[int, Meta(ge=1, le=200)] = 30
