"""Settings of ``[plugins.recommendations]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["RecommendationsConfig"]

Days = Annotated[int, Meta(ge=1, le=3650)]


class RecommendationsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of signals, how the feed is built, how mixed a list is, and how long a personal one may take.

    ``signal_days``: how long views, clicks, impressions and what was put into carts are kept; ``purchase_days``: purchases.
    ``half_life_days``: after how long a signal counts half for what is popular. ``linger``: seconds in which signals come
    together before they are written. ``feed_length``: entries of a feed, of all and of each category; ``feed_seconds``: how
    old one may be; ``feed_pause``: seconds between two that are built for what has changed. ``per_seller`` and
    ``per_category``: how many of one seller, and of one category, may be among any ten that follow each other, while others
    are there.
    ``personal_ms``: what a personal list may take before the feed is shown. ``neighbours``: how many products are kept as like
    one. ``factors``: of the factor model.
    """

    signal_days: Days = 90
    purchase_days: Days = 1095
    half_life_days: Annotated[float, Meta(ge=0.1, le=365)] = 7.0
    linger: Annotated[float, Meta(ge=0, le=10)] = 1.0
    feed_length: Annotated[int, Meta(ge=20, le=10_000)] = 500
    feed_seconds: Annotated[float, Meta(ge=5, le=86400)] = 300.0
    feed_pause: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    per_seller: Annotated[int, Meta(ge=1, le=10)] = 3
    per_category: Annotated[int, Meta(ge=1, le=10)] = 4
    personal_ms: Annotated[int, Meta(ge=1, le=10_000)] = 50
    neighbours: Annotated[int, Meta(ge=10, le=1000)] = 100
    factors: Annotated[int, Meta(ge=0, le=512)] = 64
