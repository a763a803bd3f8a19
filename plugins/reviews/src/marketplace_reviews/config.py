"""Settings of ``[plugins.reviews]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from marketplace_core.capabilities.moderation import Show

__all__ = ["ReviewsConfig"]


class ReviewsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is shown before somebody has judged it, and how ratings are sorted.

    ``max_images``: of a review. ``show``, of a review, a reply, or a picture: see
    :data:`~marketplace_core.capabilities.moderation.Show`.
    ``prior_average``, ``prior_count``: so many ratings of that many stars are taken for granted where ratings are sorted.
    """

    show: Show = "approved"
    max_images: Annotated[int, Meta(ge=1, le=50)] = 10
    prior_average: Annotated[float, Meta(ge=1, le=5)] = 3.5
    prior_count: Annotated[int, Meta(ge=0, le=1000)] = 5
