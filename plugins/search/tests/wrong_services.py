"""Services with one mistake each, made of the right one: what is patched, and which rule notices."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from marketplace_search import service, views
from marketplace_search.service import SearchService
from marketplace_search.signals import Gathering
from marketplace_search.store import Record
from marketplace_search.stores import postgres, writing
from marketplace_search.stores.tantivy import TantivyStore

__all__ = ["MISTAKES"]


class Mistake(NamedTuple):
    test: str
    where: Any
    name: str
    wrong: Any


async def _only_pages(store: TantivyStore, changes: Any) -> None:
    kept = [each for each in changes if type(each).__name__ != "StockCounts"]
    await _right_put(store, kept)


async def _no_stars(store: TantivyStore, changes: Any) -> None:
    await _right_put(store, [each for each in changes if type(each).__name__ != "Stars"])


async def _every_seller_is_active(store: TantivyStore, changes: Any) -> None:
    await _right_put(
        store, [msgspec.structs.replace(each, active=True) if hasattr(each, "active") else each for each in changes]
    )


async def _shows_archived(store: TantivyStore, changes: Any) -> None:
    await _right_put(store, [each for each in changes if getattr(each, "page", each) is not None])


def _counts_each_page(search: SearchService, query: Any, shown: Any, hits: Any, found: Any) -> Any:
    if query.q and shown:
        search._gathering._requests.clear()
        search._gathering.searched(query.q, found.total)
    return _right_next(search, query, shown, hits, found)


async def _only_products(store: TantivyStore, words: str, kind: Any, size: int) -> Any:
    return [] if kind == "sellers" else await _right_suggest(store, words, kind, size)


def _the_dearest(found: Any) -> Any:
    hit, page = _right_hit(found), found.record.page
    return hit if page is None else msgspec.structs.replace(hit, price=max(each.price.amount for each in page.variants))


def _first_seller_name(record: Record | None, change: Any) -> Any:
    found = _right_merged(record, change)
    return None if record is not None and record.kind == "sellers" else found


_right_put = TantivyStore.put
_right_suggest = TantivyStore.suggest
_right_next = SearchService._next
_right_hit = views.hit
_right_merged = writing.merged
_right_facets = views.facets

THREE = "test_words_of_others_are_suggested_after_three_people"
COUNTED = "test_searches_are_counted"
GONE = "test_what_is_archived_or_of_a_suspended_seller_is_gone"

MISTAKES = {
    "the dearest variant is shown": Mistake("test_what_is_published_is_found_as_a_card", views, "hit", _the_dearest),
    "archived products stay": Mistake(GONE, TantivyStore, "put", _shows_archived),
    "suspended sellers stay": Mistake(GONE, TantivyStore, "put", _every_seller_is_active),
    "stock is not followed": Mistake("test_stock_is_that_of_now", TantivyStore, "put", _only_pages),
    "ratings are not followed": Mistake(
        "test_the_rating_is_that_of_now_and_the_unrated_come_last", TantivyStore, "put", _no_stars
    ),
    "a page begins anew": Mistake("test_pages_show_each_once_while_products_change", service, "_marks", lambda query: []),
    "any cursor will do": Mistake("test_a_cursor_of_another_search_is_refused", service, "_marks", lambda query: [1]),
    "facets of sellers have no names": Mistake(
        "test_facets",
        views,
        "facets",
        lambda *arguments: msgspec.structs.replace(_right_facets(*arguments), seller=[]),
    ),
    "ranges begin elsewhere": Mistake("test_facets", views, "price_ranges", lambda counts: [(1000, 2000, 1)]),
    "a seller keeps its first name": Mistake("test_sellers_are_found", writing, "merged", _first_seller_name),
    "sellers are not suggested": Mistake("test_suggestions", TantivyStore, "suggest", _only_products),
    "two people are enough": Mistake(THREE, postgres, "_PEOPLE", postgres._PEOPLE.replace("$2::int", "least($2::int, 2)")),
    "one person is many": Mistake(
        THREE, Gathering, "_mark", lambda gathering, query: id(object()) % 7 + len(gathering._waiting) * 7 + next(_NUMBERS)
    ),
    "what found nothing is suggested": Mistake(THREE, postgres, "_PEOPLE", postgres._PEOPLE.replace("AND r.results > 0", "")),
    "words count as they are written": Mistake(THREE, service, "normal", lambda q: q + "?"),
    "pages are counted": Mistake(COUNTED, SearchService, "_next", _counts_each_page),
    "clicks are not counted": Mistake(COUNTED, Gathering, "clicked", lambda gathering, q, position: None),
    "what found nothing is not told": Mistake(
        COUNTED, postgres, "_TOP", postgres._TOP.replace("NOT $4::boolean OR", "NOT $4::boolean AND")
    ),
}
_NUMBERS = iter(range(10_000))
