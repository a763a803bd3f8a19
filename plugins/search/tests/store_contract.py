"""What every :class:`~marketplace_search.store.SearchStore` must do, in whatever it keeps its index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from marketplace_search.store import Found, Page, SearchStore, Seller, Stamp, Stars, StockCounts, Wanted

from marketplace_core.capabilities.catalog import CategoryRef, ProductPage, Rating, SellerRef, Variant
from marketplace_core.values import Money, new_id

__all__ = ["LANGUAGES", "SYNONYMS", "SearchStoreContract", "page", "put", "titles"]

LANGUAGES = ("english", "german", "portuguese", "russian")
SYNONYMS = "sofa, couch, settee\ntv => television, moving picture box  # one way\n"
SHOP, OTHER = "s-harbour", "s-lamp"
NAMES = {SHOP: "Harbour & Sons", OTHER: "Lamp House"}


def page(
    title: str,
    *,
    seller: str = SHOP,
    options: Sequence[tuple[Mapping[str, str], int]] = (({}, 5),),
    price: int = 1000,
    **more: Any,
) -> ProductPage:
    """``options``: of each variant, with how many there are."""
    id_ = new_id()
    variants = [
        Variant(f"{id_}/{n}", f"{title[:3].upper()}-{id_[-6:]}-{n}", "", dict(each), Money(price, "EUR"), None, stock)
        for n, (each, stock) in enumerate(options)
    ]
    fields: dict[str, Any] = {"description": "", "category": None, "attributes": {}, "images": [], "rating": Rating(), **more}
    return ProductPage(id=id_, slug=id_, title=title, seller=SellerRef(seller, NAMES[seller]), variants=variants, **fields)


def category(id_: str, name: str, *path: str) -> CategoryRef:
    return CategoryRef(id_, id_, name, list(path))


def told(shown: ProductPage, sequence: int = 1, source: str = "w") -> Page:
    return Page(shown.id, shown.seller.id, "published", shown, Stamp(sequence, source))


def gone(shown: ProductPage, sequence: int, status: Any = "archived") -> Page:
    return Page(shown.id, shown.seller.id, status, None, Stamp(sequence, "w"))


async def put(store: SearchStore, *pages: ProductPage) -> None:
    await store.put([told(each) for each in pages])


async def shelve(store: SearchStore, *names: str) -> None:
    await put(store, *(page(name) for name in names))


def titles(found: Found) -> list[str]:
    return [hit.record.page.title if hit.record.page else hit.record.name for hit in found.hits]


async def find(store: SearchStore, words: str = "", **wanted: Any) -> list[str]:
    return titles(await store.search(Wanted(words=words, **wanted)))


def counted(values: Any) -> dict[str, int]:
    return {value.value: value.count for value in values}


class WordRules:
    """What words find."""

    async def test_what_was_put_is_found_by_everybody(self, store: SearchStore, elsewhere: SearchStore) -> None:
        assert await find(elsewhere, "kettle") == []
        await shelve(store, "Copper Kettle")
        assert await find(store, "kettle") == await find(elsewhere, "kettle") == ["Copper Kettle"]
        await shelve(elsewhere, "Iron Kettle")
        assert (
            sorted(await find(store, "kettle")) == sorted(await find(elsewhere, "kettle")) == ["Copper Kettle", "Iron Kettle"]
        )

    async def test_all_words_are_needed_in_any_order(self, store: SearchStore) -> None:
        await shelve(store, "Red Copper Kettle", "Red Iron Pot")
        assert await find(store, "kettle red") == ["Red Copper Kettle"]
        assert sorted(await find(store, "RED")) == ["Red Copper Kettle", "Red Iron Pot"]
        assert len(await find(store)) == 2

    @pytest.mark.parametrize(
        ("title", "words"),
        [
            ("Running Shoes", "runs"),
            ("Holzkiste mit Deckeln", "Deckel"),
            ("Cadeira dobrável", "cadeiras"),
            ("Деревянные игрушки", "игрушка"),
        ],
    )
    async def test_another_form_of_a_word_counts_as_it(self, store: SearchStore, title: str, words: str) -> None:
        await shelve(store, title, "Quite Another Thing")
        found = await store.search(Wanted(words=words))
        assert (titles(found), found.corrected, list(found.dropped)) == ([title], None, [])

    async def test_marks_do_not_matter(self, store: SearchStore) -> None:
        await shelve(store, "Café Crème", "Grüne Gießkanne")
        found = await store.search(Wanted(words="cafe creme"))
        assert (titles(found), found.corrected) == (["Café Crème"], None)
        assert await find(store, "CAFÉ") == ["Café Crème"]
        assert await find(store, "grune giesskanne") == ["Grüne Gießkanne"]

    async def test_stop_words_are_not_needed(self, store: SearchStore) -> None:
        await shelve(store, "Tin of Tea", "Box for the Pot")
        found = await store.search(Wanted(words="the tin for tea"))
        assert (titles(found), list(found.dropped)) == (["Tin of Tea"], [])

    async def test_typos_by_the_length_of_a_word(self, store: SearchStore) -> None:
        """None below four letters, one to seven, two above; letters that have changed places are one."""
        await shelve(store, "Mug", "Kettle", "Television")
        for words, title in (("ketle", "Kettle"), ("kettel", "Kettle"), ("kxttle", "Kettle"), ("telivisoin", "Television")):
            found = await store.search(Wanted(words=words))
            assert (titles(found), found.corrected) == ([title], title.lower()), words
        for words in ("mig", "kxtxle", "txlxvxsion"):
            assert await find(store, words) == [], words

    async def test_a_word_that_is_right_is_not_taken_for_another(self, store: SearchStore) -> None:
        await shelve(store, "Kettle Box", "Nettle Box")
        found = await store.search(Wanted(words="kettle"))
        assert (titles(found), found.corrected) == (["Kettle Box"], None)

    async def test_the_last_word_may_be_a_beginning(self, store: SearchStore) -> None:
        await shelve(store, "Walnut Chess Set", "Walnut Bowl")
        assert await find(store, "walnt ches") == ["Walnut Chess Set"]
        assert await find(store, "walnut che") == ["Walnut Chess Set"]

    async def test_synonyms(self, store: SearchStore) -> None:
        await shelve(store, "Blue Couch", "Television Set", "Moving Picture Box", "Old TV")
        assert await find(store, "sofa") == await find(store, "settee blue") == ["Blue Couch"]
        assert sorted(await find(store, "tv")) == ["Moving Picture Box", "Old TV", "Television Set"]
        assert await find(store, "television") == ["Television Set"]

    async def test_words_are_dropped_before_nothing_is_found_and_it_says_so(self, store: SearchStore) -> None:
        await shelve(store, "Copper Kettle", "Copper Pan", "Iron Pan")
        found = await store.search(Wanted(words="copper kettle qqqqqq"))
        assert (titles(found), list(found.dropped)) == (["Copper Kettle"], ["qqqqqq"])
        found = await store.search(Wanted(words="iron kettle"))
        assert len(found.hits) >= 1 and len(found.dropped) == 1
        assert (await store.search(Wanted(words="qqqqqq"))).total == 0

    async def test_heavy_places_come_first(self, store: SearchStore) -> None:
        await put(
            store,
            page("Desk Light", description="Goes well with a kettle. A kettle! Kettle."),
            page("Whistling Kettle with a Lid"),
            page("Kettle"),
        )
        assert await find(store, "kettle") == ["Kettle", "Whistling Kettle with a Lid", "Desk Light"]

    async def test_everything_that_is_told_of_a_product_is_found(self, store: SearchStore) -> None:
        shown = page(
            "Thing", category=category("c1", "Teapots", "Kitchen"), attributes={"material": "porcelain", "marks": ["ZX9"]}
        )
        await put(store, shown, page("Other", seller=OTHER))
        for words in ("teapots", "kitchen", "porcelain", "zx9", "harbour sons", shown.variants[0].sku):
            assert await find(store, words) == ["Thing"], words

    async def test_what_was_found_is_marked_and_all_else_is_escaped(self, store: SearchStore) -> None:
        await put(store, page("<b>Red</b> Kettles", description="A kettle & a <i>lid</i>."))
        (hit,) = (await store.search(Wanted(words="kettle"))).hits
        assert hit.highlight is not None
        assert hit.highlight.title == "&lt;b&gt;Red&lt;/b&gt; <em>Kettles</em>"
        assert hit.highlight.description == "A <em>kettle</em> &amp; a &lt;i&gt;lid&lt;/i&gt;."

    async def test_suggestions(self, store: SearchStore) -> None:
        first, second = page("Walnut Chess Set"), page("Walnut Bowl")
        await put(store, first, second, page("Chessboard"))
        await store.put([Seller(SHOP, NAMES[SHOP], True, Stamp(1, "w"))])
        assert await store.suggest("walnut ch", "products", 5) == [(first.id, first.title)]
        assert {title for _, title in await store.suggest("che", "products", 5)} == {"Walnut Chess Set", "Chessboard"}
        assert {id_ for id_, _ in await store.suggest("walmut", "products", 5)} == {first.id, second.id}
        assert len(await store.suggest("walnut", "products", 1)) == 1
        assert await store.suggest("harb", "sellers", 5) == [(SHOP, NAMES[SHOP])]
        assert await store.suggest("  ", "products", 5) == []


class FacetRules:
    """Filters, counts, sorts and pages."""

    async def test_counts_are_disjunctive(self, store: SearchStore) -> None:
        """OR inside a facet, AND across; what a facet's own selection leaves out is counted in it."""
        kitchen = category("c1", "Kitchen")
        for_all = [("A", "x", SHOP, 100), ("B", "x", OTHER, 200), ("C", "y", SHOP, 100), ("D", "z", OTHER, 900)]
        await put(store, *(page(f"Pot {name}", attributes={"make": make}, seller=shop, price=price, category=kitchen)
                           for name, make, shop, price in for_all))  # fmt: skip
        found = await store.search(Wanted(words="pot", attributes={"make": ["x", "y"]}, sellers=(SHOP,)))
        assert sorted(titles(found)) == ["Pot A", "Pot C"] and found.total == 2
        assert counted(found.counts.attributes["make"]) == {"x": 1, "y": 1}
        assert counted(found.counts.sellers) == {SHOP: 2, OTHER: 1}
        assert (dict(found.counts.categories), dict(found.counts.prices)) == ({"c1": 2}, {100: 2})
        assert {value.value for value in found.counts.sellers if value.selected} == {SHOP}
        found = await store.search(Wanted(words="pot", attributes={"make": ["x", "y"]}))
        assert counted(found.counts.attributes["make"]) == {"x": 2, "y": 1, "z": 1}

    async def test_options_hold_on_one_variant(self, store: SearchStore) -> None:
        red_m_blue_l = [({"colour": "red", "size": "M"}, 1), ({"colour": "blue", "size": "L"}, 1)]
        await put(store, page("Jacket", options=red_m_blue_l), page("Coat", options=[({"colour": "red", "size": "L"}, 1)]))
        assert await find(store, options={"colour": ["red"], "size": ["L"]}) == ["Coat"]
        assert sorted(await find(store, options={"colour": ["red", "blue"], "size": ["L"]})) == ["Coat", "Jacket"]
        counts = (await store.search(Wanted(options={"colour": ["red"]}))).counts.options
        assert (counted(counts["colour"]), counted(counts["size"])) == ({"red": 2, "blue": 1}, {"M": 1, "L": 1})
        counts = (await store.search(Wanted(options={"colour": ["red", "blue"], "size": ["L"]}))).counts.options
        assert (counted(counts["colour"]), counted(counts["size"])) == ({"red": 1, "blue": 1}, {"M": 1, "L": 2})

    async def test_what_is_asked_for_in_stock_is_in_stock_as_asked(self, store: SearchStore) -> None:
        shown = page("Jacket", options=[({"size": "M"}, 0), ({"size": "L"}, 2)])
        await put(store, shown, page("Coat", options=[({"size": "L"}, 0)]))
        assert await find(store, in_stock=True) == ["Jacket"]
        assert await find(store, in_stock=True, options={"size": ["M"]}) == []
        counts = (await store.search(Wanted(in_stock=True))).counts.options
        assert counted(counts["size"]) == {"L": 1}
        await store.put([StockCounts(shown.id, {shown.variants[1].id: 0}, Stamp(2, "w"))])
        assert await find(store, in_stock=True) == []

    async def test_prices_and_categories_filter(self, store: SearchStore) -> None:
        prices = ((99, "c1"), (100, "c2"), (250, "c2"), (251, "c1"))
        await put(store, *(page(f"Pot {price}", price=price, category=category(c, c.upper())) for price, c in prices))
        assert sorted(await find(store, min_price=100, max_price=250)) == ["Pot 100", "Pot 250"]
        found = await store.search(Wanted(categories=frozenset({"c2"}), min_price=100))
        assert sorted(titles(found)) == ["Pot 100", "Pot 250"]
        assert dict(found.counts.categories) == {"c2": 2, "c1": 1}
        assert await find(store, categories=frozenset()) == []

    async def test_what_shoppers_do_not_see_is_not_found_and_not_counted(self, store: SearchStore) -> None:
        pots = [
            page(f"Pot {name}", seller=shop, attributes={"make": "x"})
            for name, shop in (("A", SHOP), ("B", SHOP), ("C", OTHER))
        ]
        await put(store, *pots)
        await store.put([gone(pots[0], 2), Seller(OTHER, NAMES[OTHER], False, Stamp(1, "w"))])
        found = await store.search(Wanted(words="pot"))
        assert (titles(found), found.total) == (["Pot B"], 1)
        assert (counted(found.counts.attributes["make"]), counted(found.counts.sellers)) == ({"x": 1}, {SHOP: 1})
        assert [title for _, title in await store.suggest("pot", "products", 5)] == ["Pot B"]
        assert await find(store, "lamp", kind="sellers") == []
        await store.put([Seller(OTHER, "Lamps & Co", True, Stamp(2, "w"))])
        found = await store.search(Wanted(words="pot c"))
        assert [hit.record.page.seller.name for hit in found.hits if hit.record.page] == ["Lamps & Co"]
        assert await find(store, "lamps", kind="sellers") == ["Lamps & Co"]

    async def test_sorts(self, store: SearchStore) -> None:
        made = [("A", 300, 4.5), ("B", 100, None), ("C", 200, 1.0)]
        pots = [page(f"Pot {name}", price=price, rating=Rating(stars, 3 if stars else 0)) for name, price, stars in made]
        await put(store, *pots)
        for sort, order in (("price", "BCA"), ("-price", "ACB"), ("rating", "ACB"), ("newest", "CBA")):
            assert await find(store, "pot", sort=sort) == [f"Pot {name}" for name in order], sort
        await store.put([Stars(pots[1].id, Rating(5.0, 1), Stamp(1, "r"))])
        found = await store.search(Wanted(words="pot", sort="rating"))
        assert titles(found)[0] == "Pot B"
        assert found.hits[0].record.page is not None and found.hits[0].record.page.rating == Rating(5.0, 1)

    @pytest.mark.parametrize("sort", ["relevance", "price"])
    async def test_no_page_repeats_while_documents_change(self, store: SearchStore, sort: Any) -> None:
        pots = [page(f"Pot {n}", price=100 + n) for n in range(7)]
        await put(store, *pots)
        shown: set[int] = set()
        seen: list[str] = []
        for turn in range(4):
            found = await store.search(Wanted(words="pot", sort=sort, size=2, shown=frozenset(shown)))
            assert found.total == 7
            assert found.more == (len(seen) + len(found.hits) < 7)
            seen += [hit.record.id for hit in found.hits]
            shown |= {hit.mark for hit in found.hits}
            moved = pots[6 - turn]  # to the front, where it has not been shown
            changed = page(f"Pot {turn}", price=1 + turn)
            await store.put([told(type(changed)(**{**_fields(changed), "id": moved.id}), 2 + turn)])
        assert sorted(seen) == sorted(each.id for each in pots)


class TimeRules:
    """Which event counts, and building anew."""

    async def test_the_later_event_of_a_source_wins(self, store: SearchStore) -> None:
        shown = page("New Pot")
        old = type(shown)(**{**_fields(shown), "title": "Old Pot"})
        await store.put([told(shown, 5)])
        await store.put([told(old, 4), told(old, 5)])
        assert await find(store, "pot") == ["New Pot"]
        await store.put([told(old, 1, "another")])
        assert await find(store, "pot") == ["Old Pot"]

    async def test_a_page_that_comes_late_does_not_bring_back_an_old_number(self, store: SearchStore) -> None:
        shown = page("Pot")
        await put(store, shown)
        await store.put([StockCounts(shown.id, {shown.variants[0].id: 0}, Stamp(4, "w"))])
        await store.put([told(shown, 3)])
        (hit,) = (await store.search(Wanted(words="pot"))).hits
        assert hit.record.page is not None and [each.available for each in hit.record.page.variants] == [0]
        await store.put([told(shown, 5)])
        assert await find(store, in_stock=True) == ["Pot"]

    async def test_what_is_gone_stays_gone(self, store: SearchStore) -> None:
        shown = page("Pot")
        await put(store, shown)
        await store.put([gone(shown, 3)])
        await store.put([told(shown, 2), StockCounts(shown.id, {shown.variants[0].id: 9}, Stamp(4, "w"))])
        assert await find(store, "pot") == []
        await store.put([told(shown, 5)])
        assert await find(store, "pot") == ["Pot"]

    async def test_a_batch_is_applied_in_order(self, store: SearchStore) -> None:
        shown = page("Pot")
        await store.put([told(shown, 1), gone(shown, 2), told(page("Pan"))])
        assert sorted(await find(store)) == ["Pan"]

    async def test_what_was_told_without_a_page_is_known(self, store: SearchStore) -> None:
        unseen, archived, shown = page("Pot"), page("Pan"), page("Cup")
        await store.put([gone(unseen, 1, "published"), gone(archived, 1), told(shown)])
        assert [id_ async for ids in store.hidden(SHOP) for id_ in ids] == [unseen.id]
        assert [id_ async for ids in store.hidden(OTHER) for id_ in ids] == []

    async def test_building_misses_nothing_and_takes_over_what_came_meanwhile(
        self, store: SearchStore, elsewhere: SearchStore
    ) -> None:
        kept, changed, lost, archived = page("Kept Pot"), page("Old Pot"), page("Lost Pot"), page("Gone Pot")
        await put(store, kept, changed, lost, archived)
        await store.put([gone(archived, 3)])
        async with store.building() as building:
            await building.add([kept, changed])
            assert sorted(await find(elsewhere, "pot")) == ["Kept Pot", "Lost Pot", "Old Pot"]
            newer = type(changed)(**{**_fields(changed), "title": "New Pot"})
            fresh = page("Fresh Pot")
            await elsewhere.put([told(newer, 2), told(fresh, 1)])
            await building.add([Seller(OTHER, NAMES[OTHER], True, Stamp(0))])
            assert await building.publish() == 2
        for each in (store, elsewhere):
            assert sorted(await find(each, "pot")) == ["Fresh Pot", "Kept Pot", "New Pot"]
            assert await find(each, "lamp", kind="sellers") == ["Lamp House"]
        await store.put([told(archived, 2), told(changed, 1)])
        assert sorted(await find(store, "pot")) == ["Fresh Pot", "Kept Pot", "New Pot"]
        assert not await store.stale()

    async def test_what_began_with_an_event_is_not_built(self, store: SearchStore) -> None:
        """An event may come before anybody has asked the catalogue for the rest."""
        assert await store.stale()
        await shelve(store, "Pot")
        assert await store.stale()
        async with store.building() as building:
            await building.add([page("Pan")])
            await building.publish()
        assert not await store.stale()

    async def test_a_building_that_is_given_up_changes_nothing(self, store: SearchStore) -> None:
        await shelve(store, "Pot")
        with pytest.raises(RuntimeError, match="given up"):
            async with store.building() as building:
                await building.add([page("Pan")])
                raise RuntimeError("given up")
        assert await find(store) == ["Pot"]
        async with store.building() as building:
            await building.add([page("Pan")])
            await building.publish()
        assert await find(store) == ["Pan"]


class SearchStoreContract(WordRules, FacetRules, TimeRules):
    """Fixtures: ``store``, which is empty and made for :data:`LANGUAGES` and :data:`SYNONYMS`, and ``elsewhere``, the same
    index as another process has it."""


def _fields(shown: ProductPage) -> dict[str, Any]:
    return {name: getattr(shown, name) for name in shown.__struct_fields__}
