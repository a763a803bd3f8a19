"""Providers with one mistake each, made of the right one: by the rule of the suite that must notice it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from marketplace_core.capabilities.recommendations import FeedQuery, Reason, Shopper
from marketplace_core.errors import BadCursor, NotFound
from marketplace_core.testing.contracts import Method
from marketplace_core.values import Page, PageQuery

__all__ = ["MISTAKES", "Mistake"]

Mistake = Callable[[Any], Mapping[str, Method]]
"""From the right service to the methods that are wrong."""


# ── the feed ─────────────────────────────────────────────────────────────────────────────────────────────────


def shows_what_is_sold_out(right: Any) -> Mapping[str, Method]:
    """It keeps the page that it read first."""
    kept: dict[Any, Any] = {}

    async def get_feed(query: FeedQuery) -> Any:
        if query not in kept:
            kept[query] = await right.get_feed(query)
        return kept[query]

    return {"get_feed": get_feed}


def repeats_on_the_next_page(right: Any) -> Mapping[str, Method]:
    last: list[Any] = []

    async def get_feed(query: FeedQuery) -> Any:
        page = await right.get_feed(query)
        items = [*last[-1:], *page.items] if query.cursor else page.items
        last[:] = page.items
        return Page(items, page.next)

    return {"get_feed": get_feed}


def leaves_out_between_pages(right: Any) -> Mapping[str, Method]:
    async def get_feed(query: FeedQuery) -> Any:
        page = await right.get_feed(query)
        return Page(page.items[1:] if query.cursor else page.items, page.next)

    return {"get_feed": get_feed}


def goes_on_in_the_new_feed(right: Any) -> Mapping[str, Method]:
    """Its cursors are places in whatever feed is there."""

    async def get_feed(query: FeedQuery) -> Any:
        start = int(query.cursor or 0)
        page = await right.get_feed(replace(query, cursor=None, limit=100))
        end = start + query.size
        return Page(page.items[start:end], str(end) if end < len(page.items) else None)

    return {"get_feed": get_feed}


def sorts_by_what_is_popular(right: Any) -> Mapping[str, Method]:
    async def get_feed(query: FeedQuery) -> Any:
        rows = await right._store._database.fetch(
            "SELECT id FROM recommendations.products WHERE buyable ORDER BY heat DESC NULLS LAST, id"
        )
        page = await right.get_feed(replace(query, limit=100))
        order = {row["id"]: place for place, row in enumerate(rows)}
        return Page(sorted(page.items, key=lambda card: order[card.id]), page.next)

    return {"get_feed": get_feed}


def has_one_feed(right: Any) -> Mapping[str, Method]:
    async def get_feed(query: FeedQuery) -> Any:
        return await right.get_feed(replace(query, category=None))

    return {"get_feed": get_feed}


def forgets_what_is_below(right: Any) -> Mapping[str, Method]:
    async def get_feed(query: FeedQuery) -> Any:
        page = await right.get_feed(query)
        rows = await right._store._database.fetch("SELECT id, category_id FROM recommendations.products")
        inside = {row["id"] for row in rows if query.category in (None, row["category_id"])}
        return Page([card for card in page.items if card.id in inside], page.next)

    return {"get_feed": get_feed}


def believes_every_cursor(right: Any) -> Mapping[str, Method]:
    async def get_feed(query: FeedQuery) -> Any:
        try:
            return await right.get_feed(query)
        except BadCursor:
            return await right.get_feed(replace(query, cursor=None))

    return {"get_feed": get_feed}


def says_no_price_of_now(right: Any) -> Mapping[str, Method]:
    first: dict[str, Any] = {}

    async def get_feed(query: FeedQuery) -> Any:
        page = await right.get_feed(query)
        return Page([replace(card, price=first.setdefault(card.id, card.price)) for card in page.items], page.next)

    return {"get_feed": get_feed}


def gives_a_reason_that_is_none(right: Any) -> Mapping[str, Method]:
    async def get_feed(query: FeedQuery) -> Any:
        page = await right.get_feed(query)
        return Page([replace(card, reason=Reason("history")) for card in page.items], page.next)

    return {"get_feed": get_feed}


# ── what is for a person ─────────────────────────────────────────────────────────────────────────────────────


def has_nothing_for_strangers(right: Any) -> Mapping[str, Method]:
    async def recommend(shopper: Shopper, page: PageQuery) -> Any:
        return await right.recommend(shopper, page) if shopper.account_id else Page([])

    return {"recommend": recommend}


def waits_for_the_next_training(right: Any) -> Mapping[str, Method]:
    first: dict[Any, Any] = {}

    async def recommend(shopper: Shopper, page: PageQuery) -> Any:
        if (shopper, page) not in first:
            first[shopper, page] = await right.recommend(shopper, page)
        return first[shopper, page]

    return {"recommend": recommend}


def takes_all_guests_for_one(right: Any) -> Mapping[str, Method]:
    def one(shopper: Shopper) -> Shopper:
        return Shopper(token="everybody") if shopper.token else shopper

    async def recommend(shopper: Shopper, page: PageQuery) -> Any:
        return await right.recommend(one(shopper), page)

    async def record(shopper: Shopper, signals: Any) -> None:
        await right.record(one(shopper), signals)

    return {"recommend": recommend, "record": record}


def recommends_what_is_in_the_cart(right: Any) -> Mapping[str, Method]:
    class NoCart:
        async def get_lines(self, owner: Any) -> None:
            return None

    right._lists._cart = NoCart()
    return {}


def recommends_what_is_sold_out(right: Any) -> Mapping[str, Method]:
    async def recommend(shopper: Shopper, page: PageQuery) -> Any:
        found = await right.recommend(shopper, page)
        rows = await right._store._database.fetch("SELECT id FROM recommendations.products WHERE shown AND NOT buyable")
        return Page([*found.items, *(replace(found.items[0], id=row["id"]) for row in rows)], found.next)

    return {"recommend": recommend}


def recommends_what_was_bought(right: Any) -> Mapping[str, Method]:
    known, last = right._store.known, right._recents.last

    async def forgetting(person: str, limit: int) -> Any:
        return (await known(person, limit))._replace(bought=[], recent=await last(person))

    right._store.known = forgetting
    return {}


def never_recommends_again(right: Any) -> Mapping[str, Method]:
    known = right._store.known

    async def remembering(person: str, limit: int) -> Any:
        found = await known(person, limit)
        return found._replace(bought=[*found.bought, *found.again], again=[])

    right._store.known = remembering
    return {}


def makes_each_page_anew(right: Any) -> Mapping[str, Method]:
    async def recommend(shopper: Shopper, page: PageQuery) -> Any:
        start = int(page.cursor or 0)
        found = await right.recommend(shopper, PageQuery(limit=100))
        end = start + page.size
        return Page(found.items[start:end], str(end) if end < len(found.items) else None)

    return {"recommend": recommend}


# ── what may be known ────────────────────────────────────────────────────────────────────────────────────────


def hears_no_opting_out(right: Any) -> Mapping[str, Method]:
    async def nothing(*args: Any, **kwargs: Any) -> None: ...

    right._store.make_unknown = nothing
    right._recents.forget = nothing
    return {}


def only_hides_what_it_knows(right: Any) -> Mapping[str, Method]:
    """Who comes back finds that everything was kept."""
    store = right._store

    async def make_unknown(uow: Any, person: str, *, erased: bool) -> None:
        await store._database.on(uow).execute(
            "INSERT INTO recommendations.unknown (person, erased) VALUES ($1, $2) ON CONFLICT DO NOTHING", person, erased
        )

    store.make_unknown = make_unknown
    return {}


def erases_until_somebody_comes_back(right: Any) -> Mapping[str, Method]:
    make_unknown = right._store.make_unknown

    async def for_a_while(uow: Any, person: str, *, erased: bool) -> None:
        await make_unknown(uow, person, erased=False)

    right._store.make_unknown = for_a_while
    return {}


# ── what is like a product ───────────────────────────────────────────────────────────────────────────────────


def finds_a_product_like_itself(right: Any) -> Mapping[str, Method]:
    async def list_similar(product_id: str, shopper: Shopper, page: PageQuery) -> Any:
        found = await right.list_similar(product_id, shopper, page)
        return Page([*found.items, replace(found.items[0], id=product_id)], found.next)

    return {"list_similar": list_similar}


def calls_everything_similar(right: Any) -> Mapping[str, Method]:
    async def list_similar(product_id: str, shopper: Shopper, page: PageQuery) -> Any:
        found = await right.list_similar(product_id, shopper, page)
        return Page([replace(card, reason=Reason("similar", product_id)) for card in found.items], found.next)

    return {"list_similar": list_similar}


def knows_what_is_like_nothing(right: Any) -> Mapping[str, Method]:
    async def list_similar(product_id: str, shopper: Shopper, page: PageQuery) -> Any:
        try:
            return await right.list_similar(product_id, shopper, page)
        except NotFound:
            return await right.recommend(shopper, page)

    return {"list_similar": list_similar}


def has_only_the_feed_for_what_is_cold(right: Any) -> Mapping[str, Method]:
    async def list_similar(product_id: str, shopper: Shopper, page: PageQuery) -> Any:
        return await right.recommend(Shopper(), page)

    return {"list_similar": list_similar}


MISTAKES: Mapping[str, tuple[Mistake, ...]] = {
    "test_the_feed_has_what_can_be_bought": (shows_what_is_sold_out,),
    "test_pages_of_the_feed_hold_each_product_once": (
        repeats_on_the_next_page,
        leaves_out_between_pages,
        goes_on_in_the_new_feed,
    ),
    "test_the_feed_is_mixed": (sorts_by_what_is_popular,),
    "test_a_category_has_a_feed_of_its_own": (has_one_feed, forgets_what_is_below),
    "test_a_cursor_belongs_to_its_feed": (believes_every_cursor,),
    "test_cards_say_what_is_so_and_why_they_are_shown": (says_no_price_of_now, gives_a_reason_that_is_none),
    "test_a_stranger_is_shown_the_feed": (has_nothing_for_strangers,),
    "test_the_last_action_counts_at_once": (waits_for_the_next_training,),
    "test_one_shopper_is_not_another": (takes_all_guests_for_one,),
    "test_what_cannot_be_bought_or_is_in_the_cart_is_not_shown": (
        recommends_what_is_in_the_cart,
        recommends_what_is_sold_out,
    ),
    "test_what_was_bought_already_is_not_shown": (recommends_what_was_bought,),
    "test_what_people_buy_again_is_shown_again": (never_recommends_again,),
    "test_pages_for_a_person_hold_each_product_once": (makes_each_page_anew,),
    "test_who_opts_out_is_not_known": (hears_no_opting_out, only_hides_what_it_knows),
    "test_who_is_erased_is_not_known_for_ever": (erases_until_somebody_comes_back,),
    "test_what_is_bought_together_is_similar": (
        finds_a_product_like_itself,
        calls_everything_similar,
        knows_what_is_like_nothing,
    ),
    "test_what_nobody_has_touched_is_like_its_category": (has_only_the_feed_for_what_is_cold,),
}
