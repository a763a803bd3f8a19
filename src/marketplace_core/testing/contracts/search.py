"""What every provider of :class:`~marketplace_core.capabilities.search.Search` must do, on its port and by events alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from marketplace_core import calls
from marketplace_core.capabilities.catalog import ProductChanged, ProductPage, Rating, SellerRef, StockChanged, Variant
from marketplace_core.capabilities.reviews import ProductRated, RatingSummary
from marketplace_core.capabilities.search import Click, Search, SearchHit, SearchPage, SearchQuery
from marketplace_core.capabilities.sellers import SellerChanged
from marketplace_core.events import Event
from marketplace_core.testing.contracts import eventually, refused
from marketplace_core.values import Caller, Clock, Money, new_id

__all__ = ["SearchContract"]

Deliver = Callable[[Event], Awaitable[None]]
SHOP = SellerRef("01920000-0000-7000-8000-000000000001", "Harbour & Sons")


def page(title: str, *variants: tuple[Mapping[str, str], int, int], **more: Any) -> ProductPage:
    """``variants``: options, price and how many; by default one at 10.00 of which there are 5."""
    id_ = new_id()
    made = [
        Variant(new_id(), f"{id_}-{n}", "", dict(options), Money(price, "EUR"), None, stock)
        for n, (options, price, stock) in enumerate(variants or (({}, 1000, 5),))
    ]
    fields: dict[str, Any] = {"description": "", "category": None, "attributes": {}, "images": [], "seller": SHOP}
    return ProductPage(id=id_, slug=f"{id_}-slug", title=title, rating=Rating(), variants=made, **{**fields, **more})


async def publish(deliver: Deliver, *pages: ProductPage) -> None:
    for each in pages:
        await deliver(ProductChanged(product_id=each.id, seller_id=each.seller.id, status="published", page=each))


def titles(found: SearchPage) -> list[str]:
    return [hit.title for hit in found.items]


async def find(search: Search, q: str = "", **query: Any) -> list[str]:
    return titles(await search.search(SearchQuery(q=q, **query)))


class SearchContract:
    """Fixtures: ``search``, with nothing in it; ``deliver``, which has it apply an event, as its worker does; ``clock``."""

    async def test_what_is_published_is_found_as_a_card(self, search: Search, deliver: Deliver) -> None:
        pot = page("Copper Pot", ({"size": "L"}, 2500, 0), ({"size": "S"}, 1500, 2))
        await publish(deliver, pot, page("Iron Pan"))
        found = await search.search(SearchQuery(q="copper"))
        (hit,) = found.items
        assert found.total == 1 and found.next is None and found.corrected is None and found.fallback is None
        shown = (hit.id, hit.slug, hit.title, hit.seller, hit.price, hit.in_stock, hit.rating)
        assert shown == (pot.id, pot.slug, "Copper Pot", SHOP, Money(1500, "EUR"), True, Rating())
        assert hit.highlight is not None and hit.highlight.title == "<em>Copper</em> Pot"
        assert sorted(await find(search)) == ["Copper Pot", "Iron Pan"]

    async def test_what_is_archived_or_of_a_suspended_seller_is_gone(self, search: Search, deliver: Deliver) -> None:
        pot, pan = page("Copper Pot"), page("Copper Pan")
        await publish(deliver, pot, pan)
        await deliver(ProductChanged(product_id=pan.id, seller_id=SHOP.id, status="archived", page=None))
        assert await find(search, "copper") == ["Copper Pot"]
        for version, status, left in ((1, "suspended", []), (2, "active", ["Copper Pot"]), (3, "holiday", [])):
            told: Any = status
            await deliver(SellerChanged(seller_id=SHOP.id, name=SHOP.name, status=told, version_number=version))
            found = await search.search(SearchQuery(q="copper"))
            assert (titles(found), found.total) == (left, len(left)), status

    async def test_stock_is_that_of_now(self, search: Search, deliver: Deliver) -> None:
        pot = page("Copper Pot")
        await publish(deliver, pot)
        for count in (0, 3):
            await deliver(StockChanged(product_id=pot.id, available={pot.variants[0].id: count}))
            assert [hit.in_stock for hit in (await search.search(SearchQuery())).items] == [count > 0]
            assert len(await find(search, in_stock=True)) == (count > 0)

    async def test_the_rating_is_that_of_now_and_the_unrated_come_last(self, search: Search, deliver: Deliver) -> None:
        poor, best, unrated = page("Pot A"), page("Pot B"), page("Pot C")
        await publish(deliver, poor, best, unrated)
        for rated, average in ((poor, 1.5), (best, 4.5)):
            summary = RatingSummary(average, 2, {})
            await deliver(ProductRated(product_id=rated.id, seller_id=SHOP.id, rating=summary, score=average))
        found = (await search.search(SearchQuery(sort="rating"))).items
        assert [(hit.title, hit.rating) for hit in found] == [
            ("Pot B", Rating(4.5, 2)),
            ("Pot A", Rating(1.5, 2)),
            ("Pot C", Rating()),
        ]

    async def test_pages_show_each_once_while_products_change(self, search: Search, deliver: Deliver) -> None:
        pots = [page(f"Pot {n}", ({}, 100 + n, 1)) for n in range(5)]
        await publish(deliver, *pots)
        shown: list[SearchHit] = []
        query = SearchQuery(q="pot", limit=2, sort="price")
        for _ in range(6):
            found = await search.search(query)
            assert found.total == 5 + (len(shown) > 0)
            shown += found.items
            if found.next is None:
                break
            if len(shown) == 2:
                await publish(deliver, page("Pot, the cheapest", ({}, 1, 1)))
            query = SearchQuery(q="pot", limit=2, sort="price", cursor=found.next)
        assert len({hit.id for hit in shown}) == len(shown) == 6
        assert found.next is None

    async def test_a_cursor_of_another_search_is_refused(self, search: Search, deliver: Deliver) -> None:
        await publish(deliver, page("Pot A"), page("Pot B"))
        cursor = (await search.search(SearchQuery(q="pot", limit=1))).next
        assert cursor is not None
        for query in (SearchQuery(q="pan", cursor=cursor), SearchQuery(q="pot", sort="price", cursor=cursor)):
            await refused("paging.bad_cursor", search.search(query))
        await refused("paging.bad_cursor", search.search(SearchQuery(q="pot", cursor="x")))

    async def test_facets(self, search: Search, deliver: Deliver) -> None:
        """OR inside, AND across, counts as if the facet itself were not selected; ranges hold what was found."""
        red, blue = {"colour": "red", "size": "M"}, {"colour": "blue", "size": "L"}
        await publish(deliver, page("Jacket", (red, 900, 1), (blue, 900, 1), attributes={"brand": "Nord"}))
        await publish(deliver, page("Coat", (red, 2100, 1), attributes={"brand": "Sud"}))
        found = await search.search(SearchQuery(option={"colour": ("red",)}, attr={"brand": ("Nord",)}))
        facets = found.facets
        assert titles(found) == ["Jacket"]
        assert _counts(facets.attributes["brand"]) == {("Nord", 1, True), ("Sud", 1, False)}
        assert _counts(facets.options["colour"]) == {("red", 1, True), ("blue", 1, False)}
        assert [(value.value, value.label, value.count) for value in facets.seller] == [(SHOP.id, SHOP.name, 1)]
        (price,) = facets.price
        assert price.from_ <= 900 < price.to and price.count == 1
        assert await find(search, option={"colour": ("blue",), "size": ("M",)}) == []
        assert sorted(await find(search, attr={"brand": ("Nord", "Sud")})) == ["Coat", "Jacket"]
        assert await find(search, min_price=901, max_price=2100) == ["Coat"]

    async def test_misspelt_words_are_mended_and_lost_ones_dropped_and_it_says_so(
        self, search: Search, deliver: Deliver
    ) -> None:
        await publish(deliver, page("Walnut Chess Set"), page("Walnut Bowl"))
        found = await search.search(SearchQuery(q="walmut chess"))
        assert (titles(found), found.corrected, found.fallback) == (["Walnut Chess Set"], "walnut chess", None)
        found = await search.search(SearchQuery(q="walnut bowl qqqqqq"))
        assert titles(found) == ["Walnut Bowl"]
        assert found.fallback is not None and found.fallback.dropped == ["qqqqqq"]

    async def test_sellers_are_found(self, search: Search, deliver: Deliver) -> None:
        await deliver(SellerChanged(seller_id=SHOP.id, name=SHOP.name, status="active", version_number=1))
        await publish(deliver, page("Harbour View"))
        (hit,) = (await search.search(SearchQuery(kind="sellers", q="harbor"))).items
        assert (hit.id, hit.title, hit.price, hit.slug) == (SHOP.id, SHOP.name, None, None)
        await deliver(SellerChanged(seller_id=SHOP.id, name="Quay", status="active", version_number=2))
        assert await find(search, "harbour", kind="sellers") == []
        assert [hit.seller.name for hit in (await search.search(SearchQuery(q="view"))).items] == ["Quay"]

    async def test_suggestions(self, search: Search, deliver: Deliver) -> None:
        await deliver(SellerChanged(seller_id=SHOP.id, name=SHOP.name, status="active", version_number=1))
        chess = page("Walnut Chess Set")
        await publish(deliver, chess)
        told = (await search.suggest("walnut che")).items
        assert [(each.text, each.kind, each.id) for each in told] == [("Walnut Chess Set", "product", chess.id)]
        assert [(each.text, each.kind) for each in (await search.suggest("harb")).items] == [(SHOP.name, "seller")]
        assert (await search.suggest("")).items == []

    async def test_words_of_others_are_suggested_after_three_people(
        self, search: Search, deliver: Deliver, clock: Clock
    ) -> None:
        await publish(deliver, page("Walnut Chess Set"))

        async def suggested(prefix: str) -> list[str]:
            await _written(search, clock)
            return [each.text for each in (await search.suggest(prefix)).items if each.kind == "query"]

        for person in ("ada", "bea", "bea", "bea"):
            await _as(person, search, "Walnut  CHESS")
        assert await suggested("wal") == []
        await _as("cem", search, "walnut chess")
        assert await suggested("wal") == ["walnut chess"]
        assert await suggested("ches") == []
        for person in ("ada", "bea", "cem", "dan"):
            await _as(person, search, "walrus qqqqqq")
        assert await suggested("walr") == []

    async def test_searches_are_counted(self, search: Search, deliver: Deliver, clock: Clock) -> None:
        """Pages after the first are no further searches."""
        await publish(deliver, page("Pot A"), page("Pot B"))
        cursor = await _as("ada", search, "Pot", limit=1)
        await _as("ada", search, "Pot", limit=1, cursor=cursor)
        await _as("ada", search, "qqqqqq")
        await _as("ada", search, "")
        for position in (1, 2):
            await search.clicked(Click("pot", position))
        found = await _written(search, clock, 2)
        assert (found.searches, found.without_result, found.click_through) == (2, 1, 1.0)
        counted = {each.query: (each.searches, each.results, each.clicks, each.position) for each in found.top}
        assert counted == {"pot": (1, 2, 2, 1.5), "qqqqqq": (1, 0, 0, None)}
        assert [each.query for each in found.nothing_found] == ["qqqqqq"]
        long_ago = clock.now().date() - timedelta(days=9)
        assert (await search.report(long_ago, long_ago)).searches == 0


def _counts(values: Sequence[Any]) -> set[tuple[str, int, bool]]:
    return {(value.value, value.count, value.selected) for value in values}


async def _as(person: str, search: Search, q: str, **query: Any) -> str | None:
    """A request of somebody's; gives the cursor of the next page. A far port may be asked twice, and is told so by its id."""
    with calls.scope(calls.Call(caller=Caller(audience="buyer", account_id=person), request_id=new_id())):
        return (await search.search(SearchQuery(q=q, **query))).next


async def _written(search: Search, clock: Clock, searches: int = 0) -> Any:
    """The report, once what has happened is in it."""
    today = clock.now().date()

    async def told() -> Any:
        found = await search.report(today, today)
        return found if found.searches >= searches else None

    return await eventually(told)
