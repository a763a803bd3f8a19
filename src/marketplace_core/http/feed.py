"""The route of the base feed, whoever reads it for shoppers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from marketplace_core.capabilities.recommendations import FeedQuery, RecommendedCard
from marketplace_core.http.routing import Router
from marketplace_core.values import Page

__all__ = ["FEED_SECONDS", "add_feed_route"]

#: For so long an encoded page is answered again: with this, what is sold out is gone within two seconds.
FEED_SECONDS = 1.0


def add_feed_route(router: Router, read: Callable[[FeedQuery], Awaitable[Page[RecommendedCard]]]) -> None:
    """GET ``/feed`` on ``router``; ``read`` is the port's method, which calls :func:`marketplace_core.feed.read_feed`."""

    @router.get("/feed", access="anyone", cached_seconds=FEED_SECONDS)
    async def get_feed(query: FeedQuery) -> Page[RecommendedCard]:
        """What is popular and what is new, mixed over sellers and categories."""
        return await read(query)
