"""The search's routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from marketplace_core.capabilities.recommendations import FeedQuery, RecommendedCard
from marketplace_core.capabilities.search import Click, Facets, Fallback, Search, SearchHit, SearchQuery, Suggestions
from marketplace_core.http.routing import Router
from marketplace_core.values import Page

__all__ = ["routers"]

#: For so long an encoded page of the feed is answered again: with this, what is sold out is gone within two seconds.
FEED_SECONDS = 1.0


class SuggestQuery(Struct, frozen=True, forbid_unknown_fields=True):
    q: Annotated[str, Meta(max_length=200)] = ""


class SearchResult(Struct, frozen=True, kw_only=True):
    """``facets``: under ``category``, ``seller``, ``option.NAME`` and ``attr.NAME`` objects with ``value``, ``label``,
    ``count`` and ``selected``, under ``price`` with ``from``, ``to`` (exclusive) and ``count``. ``corrected``: the words with
    misspellings mended. ``fallback``: which words were left out to find something."""

    items: list[SearchHit]
    next: str | None
    total: int
    facets: dict[str, list[Any]]
    corrected: str | None
    fallback: Fallback | None


def routers(search: Search) -> Sequence[Router]:
    router = Router("buyer", "search")

    @router.get("/search", access="guest")
    async def find(query: SearchQuery) -> SearchResult:
        """Products or sellers by words and facets.

        Several values of one facet mean any of them, several facets all of them; options hold on one variant together.
        """
        page = await search.search(query)
        return SearchResult(
            items=page.items,
            next=page.next,
            total=page.total,
            facets=_flat(page.facets),
            corrected=page.corrected,
            fallback=page.fallback,
        )

    @router.get("/search/suggest", access="guest")
    async def suggest(query: SuggestQuery) -> Suggestions:
        """What somebody who has typed so much may want."""
        return await search.suggest(query.q)

    @router.get("/feed", access="anyone", cached_seconds=FEED_SECONDS)
    async def get_feed(query: FeedQuery) -> Page[RecommendedCard]:
        """What is popular and what is new, mixed over sellers and categories, each with the reason."""
        return await search.get_feed(query)

    @router.post("/search/clicks", access="guest", status=204, key="ignored")
    async def clicked(body: Click) -> None:
        """Tell what was chosen of a result: it is counted, and of whom it was is not kept."""
        await search.clicked(body)

    return (router,)


def _flat(facets: Facets) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"category": facets.category, "seller": facets.seller, "price": facets.price}
    found |= {f"option.{name}": values for name, values in facets.options.items()}
    return found | {f"attr.{name}": values for name, values in facets.attributes.items()}
