"""The base feed as it is read: by whoever shows it, out of the :class:`~marketplace_core.ports.FeedStore` alone.

The provider of recommendations writes it, in feeds by these names and with cards encoded by :func:`feed_entry`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from marketplace_core.capabilities.recommendations import FeedQuery, RecommendedCard
from marketplace_core.ports import FeedEntry, FeedStore
from marketplace_core.values import Page

__all__ = ["feed_entry", "feed_name", "read_feed", "read_feed_cards", "with_address"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RecommendedCard).decode


def feed_name(category: str | None) -> str:
    """The feed of a category, by its id or its slug; None: of everything."""
    return "all" if category is None else f"category:{category}"


def feed_entry(card: RecommendedCard) -> FeedEntry:
    return FeedEntry(card.id, _encode(card))


def with_address(card: RecommendedCard, url: Callable[[str], str]) -> RecommendedCard:
    """As it is shown: a feed knows pictures by their keys."""
    return card if card.image is None else replace(card, image=card.image.at(url))


async def read_feed(feeds: FeedStore, query: FeedQuery) -> Page[RecommendedCard]:
    """A page by one round trip. Who is in the middle of an earlier feed reads on there.

    It is empty where there is no such category, nothing in it, or no feed yet.

    :raises BadCursor: it is of another feed, or of one that cannot be read any more. :raises Unavailable: the store is away.
    """
    found = await feeds.read(feed_name(query.category), query.size, query.position(int, int))
    if found is None:
        return Page([])
    cards = [_decode(entry.data) for entry in found.entries]
    return Page(cards, None if found.next is None else query.cursor_after(found.next))


async def read_feed_cards(feeds: FeedStore, feed: str, size: int) -> list[RecommendedCard]:
    """The first cards of a feed, to fill up another list. :raises Unavailable: the store is away."""
    found = await feeds.read(feed, size)
    return [] if found is None else [_decode(entry.data) for entry in found.entries]
