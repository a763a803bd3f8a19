"""The part of the catalogue's suite that is about many at once: rows of stock and prices, imports, the tree of categories."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from marketplace_core.capabilities.catalog import (
    Catalog,
    Category,
    CategoryDraft,
    CategoryPatch,
    ImportImage,
    ImportProduct,
    ImportResult,
    ImportVariant,
    MoneyInput,
    PriceRow,
    ProductDraft,
    ProductQuery,
    SellerProduct,
    SellerProductQuery,
    SellerRef,
    StockRow,
    VariantDraft,
)
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts import refused, together
from marketplace_core.testing.contracts.catalog_shelves import (
    is_seen,
    lines,
    open_seller,
    shelve,
    stock,
)
from marketplace_core.values import Money, new_id

__all__ = ["BulkRules"]

EUR10, EUR20, USD10 = MoneyInput(10, "EUR"), MoneyInput(20, "EUR"), MoneyInput(10, "USD")


def product(seller: SellerRef, key: str = "pot", **changes: Any) -> ImportProduct:
    """One product of a file, of two variants."""
    given = ImportProduct(
        key=key,
        seller_id=seller.id,
        title="Tea pot",
        description="Of iron.",
        category=("Home", "Pots"),
        attributes={"lid": True, "litres": 1.5},
        image=ImportImage("catalog/aa/pot.png", 640, 480),
        variants=(variant(f"{key}-s", 5, size="S"), variant(f"{key}-l", 5, size="L")),
    )
    return replace(given, **changes)


def variant(sku: str, units: int = 5, price: int | None = 1000, currency: str = "EUR", **options: str) -> ImportVariant:
    return ImportVariant(sku=sku, price=None if price is None else Money(price, currency), stock=units, options=options)


async def imported(catalog: Catalog, *products: ImportProduct) -> list[tuple[str, str | None]]:
    results: list[ImportResult] = await catalog.import_products(list(products))
    for given, result in zip(products, results, strict=True):
        assert result.variants == {each.sku: result.status for each in given.variants}
        assert (result.code is None) == (result.detail is None) == (result.status != "rejected")
    return [(result.status, result.code) for result in results]


async def of_seller(catalog: Catalog, seller: SellerRef) -> list[SellerProduct]:
    """Oldest first."""
    return (await catalog.list_seller_products(seller.id, SellerProductQuery(limit=100))).items[::-1]


class BulkRules:
    # ── stock and prices ─────────────────────────────────────────────────────────────────────────────────────

    async def test_each_row_of_stock_is_for_itself(self, catalog: Catalog) -> None:
        shelf, other = await shelve(catalog, 5, 5), await shelve(catalog, 5)
        first, second = shelf.skus
        rows = [
            StockRow(first, quantity=7),
            StockRow("nothing", quantity=1),
            StockRow(second, quantity=5),
            StockRow(first, delta=-2),
            StockRow(first, delta=-6),
            StockRow(second),
            StockRow(second, quantity=1, delta=1),
            StockRow(other.skus[0], quantity=1),
            StockRow(second, delta=2_000_000_000),
        ]
        found = (await catalog.set_stock(shelf.seller.id, rows)).items
        assert [row.sku for row in found] == [row.sku for row in rows]
        assert [(row.status, row.code) for row in found] == [
            ("updated", None),
            ("rejected", "not_found"),
            ("unchanged", None),
            ("updated", None),
            ("rejected", "range"),
            ("rejected", "required"),
            ("rejected", "required"),
            ("rejected", "not_found"),
            ("rejected", "range"),
        ]
        assert await stock(catalog, shelf) == [(5, 0, 5), (5, 0, 5)]
        assert await stock(catalog, other) == [(5, 0, 5)]

    async def test_each_row_of_prices_is_for_itself(self, catalog: Catalog) -> None:
        shelf, other = await shelve(catalog, 5, 5), await shelve(catalog, 5)
        first, second = shelf.skus
        rows = [
            PriceRow(first, EUR10, EUR20),
            PriceRow("nothing", EUR10),
            PriceRow(second, USD10),
            PriceRow(second, EUR20, USD10),
            PriceRow(second, MoneyInput(1000, "EUR")),
            PriceRow(other.skus[0], EUR10),
        ]
        found = (await catalog.set_prices(shelf.seller.id, rows)).items
        assert [(row.sku, row.status, row.code) for row in found] == [
            (first, "updated", None),
            ("nothing", "rejected", "not_found"),
            (second, "rejected", "unknown_value"),
            (second, "rejected", "unknown_value"),
            (second, "unchanged", None),
            (other.skus[0], "rejected", "not_found"),
        ]
        page = (await catalog.get_product(shelf.product_id)).page
        assert page is not None
        assert [(v.price, v.compare_at) for v in page.variants] == [
            (Money(10, "EUR"), Money(20, "EUR")),
            (Money(1000, "EUR"), None),
        ]
        [card] = (await catalog.list_products(ProductQuery(seller=shelf.seller.id))).items
        assert (card.price, card.compare_at) == (Money(10, "EUR"), Money(20, "EUR"))
        assert [view.price for view in await catalog.get_variants(other.ids)] == [Money(1000, "EUR")]

    async def test_a_product_stays_in_one_currency(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 5, 5)
        seller, (first, second) = shelf.seller.id, shelf.skus

        async def statuses(*rows: PriceRow) -> list[str]:
            return [row.status for row in (await catalog.set_prices(seller, list(rows))).items]

        assert await statuses(PriceRow(first, USD10)) == ["rejected"]
        assert await statuses(PriceRow(first, USD10), PriceRow(second, EUR10)) == ["rejected", "updated"]
        assert await statuses(PriceRow(first, USD10), PriceRow(second, USD10, EUR10)) == ["rejected", "rejected"]
        assert await statuses(PriceRow(first, USD10), PriceRow(second, USD10)) == ["updated", "updated"]
        assert {view.price for view in await catalog.get_variants(shelf.ids)} == {Money(10, "USD")}
        unpriced = ProductDraft(title="Pot", variants=tuple(VariantDraft(sku=sku, options={"n": sku}) for sku in ("a", "b")))
        await catalog.create_product(seller, unpriced)
        assert await statuses(PriceRow("a", USD10), PriceRow("b", EUR10)) == ["updated", "rejected"]

    # ── imports ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_import_is_published_and_a_second_one_changes_nothing(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        file = [product(seller), product(seller, "jug", category=("Home", "Jugs"), image=None)]
        assert await imported(catalog, *file) == [("written", None)] * 2
        before = await of_seller(catalog, seller)
        pot = (await catalog.get_product(before[0].id)).page
        assert pot is not None
        assert (pot.title, pot.description, pot.attributes) == ("Tea pot", "Of iron.", {"lid": True, "litres": 1.5})
        assert pot.category is not None
        assert pot.category.path == ["Home", "Pots"]
        assert [(v.sku, v.options, v.price, v.available) for v in pot.variants] == [
            ("pot-s", {"size": "S"}, Money(1000, "EUR"), 5),
            ("pot-l", {"size": "L"}, Money(1000, "EUR"), 5),
        ]
        [image] = pot.images
        assert (image.url.endswith("catalog/aa/pot.png"), image.width, image.height) == (True, 640, 480)
        assert await imported(catalog, *file) == [("unchanged", None)] * 2
        assert await of_seller(catalog, seller) == before

    async def test_what_an_import_changes(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        await imported(catalog, product(seller), product(seller, "jug"))
        before = await of_seller(catalog, seller)
        changed = product(seller, title="Kettle", variants=(variant("pot-l", 7, 900, size="L"), variant("pot-m", 1, size="M")))
        assert await imported(catalog, changed, product(seller, "jug")) == [("written", None), ("unchanged", None)]
        pot, jug = await of_seller(catalog, seller)
        assert (pot.id, jug) == (before[0].id, before[1])
        assert [(v.sku, v.price, v.stock.on_hand) for v in pot.variants] == [
            ("pot-l", Money(900, "EUR"), 7),
            ("pot-m", Money(1000, "EUR"), 1),
        ]
        assert pot.variants[0].id == before[0].variants[1].id
        assert (await catalog.get_product(before[0].slug)).moved_to == pot.slug != before[0].slug

    async def test_an_import_keeps_what_is_promised(self, catalog: Catalog) -> None:
        seller, key = await open_seller(catalog), new_id()
        await imported(catalog, product(seller))
        [pot] = await of_seller(catalog, seller)
        small, large = (each.id for each in pot.variants)
        shelf = await shelve(catalog, 1)
        wanted = lines(shelf._replace(ids=[small, large]), 2, 3)
        await catalog.reserve(key, wanted, 900)
        assert await imported(catalog, product(seller, variants=(variant("pot-s", 1, size="S"),))) == [("written", None)]
        [pot] = await of_seller(catalog, seller)
        counts = {each.sku: (each.stock.on_hand, each.stock.reserved, each.stock.available) for each in pot.variants}
        assert counts == {"pot-s": (2, 2, 0), "pot-l": (3, 3, 0)}
        await catalog.commit(key)
        await catalog.restock(key)
        assert await imported(catalog, product(seller, variants=(variant("pot-s", 4, size="S"),))) == [("written", None)]
        [pot] = await of_seller(catalog, seller)
        assert [(each.sku, each.stock.on_hand, each.stock.reserved) for each in pot.variants] == [("pot-s", 4, 0)]

    async def test_what_an_import_refuses_leaves_the_rest(self, catalog: Catalog) -> None:
        seller, other = await open_seller(catalog), await open_seller(catalog)
        file = {
            "good": ("written", None),
            "another": ("rejected", "catalog.sku_taken"),
            "currencies": ("rejected", "unknown_value"),
            "options": ("rejected", "duplicate"),
            "negative": ("rejected", "range"),
            "huge": ("rejected", "range"),
            "nobody": ("rejected", "not_found"),
            "theirs": ("written", None),
        }
        small = variant("good-s", size="S")
        products = [
            product(seller, "good", variants=(small,)),
            product(seller, "another", variants=(small,)),
            product(seller, "currencies", variants=(variant("a", size="S"), variant("b", currency="USD", size="L"))),
            product(seller, "options", variants=(variant("c", size="S"), variant("d", size="S"))),
            product(seller, "negative", variants=(variant("e", -1, size="S"),)),
            product(seller, "huge", attributes={"a": [1e300]}),
            product(SellerRef(new_id(), "Nobody"), "nobody"),
            product(other, "good", variants=(small,)),
        ]
        assert await imported(catalog, *products) == list(file.values())
        assert [len(await of_seller(catalog, each)) for each in (seller, other)] == [1, 1]
        twice = [product(seller, "twice", variants=(variant("f"),)), product(seller, "twice", variants=(variant("g"),))]
        assert await imported(catalog, *twice) == [("written", None), ("rejected", "duplicate")]

    async def test_what_has_no_price_yet_is_a_draft(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        unpriced = product(seller, variants=(variant("pot", price=None),))
        assert await imported(catalog, unpriced) == [("written", None)]
        [pot] = await of_seller(catalog, seller)
        assert pot.status == "draft"
        assert await imported(catalog, product(seller, variants=(variant("pot"),))) == [("written", None)]
        assert [each.status for each in await of_seller(catalog, seller)] == ["published"]

    async def test_imports_at_once(self, catalog: Catalog) -> None:
        sellers = [await open_seller(catalog) for _ in range(3)]
        files = [[product(seller, f"p{n}", category=("Home", f"C{n % 2}")) for n in range(3)] for seller in sellers]
        await together(*(imported(catalog, *file) for file in [*files, *(file[::-1] for file in files)]))
        assert [len(await of_seller(catalog, seller)) for seller in sellers] == [3, 3, 3]
        [home] = (await catalog.get_categories()).items
        assert [(each.name, each.count) for each in home.items] == [("C0", 6), ("C1", 3)]

    # ── categories ───────────────────────────────────────────────────────────────────────────────────────────

    async def test_the_tree_and_what_is_in_it(self, catalog: Catalog) -> None:
        home = await catalog.create_category(CategoryDraft("Home"))
        pots = await catalog.create_category(CategoryDraft("Pots", home.id))
        tea = await catalog.create_category(CategoryDraft("Tea", pots.id))
        await catalog.create_category(CategoryDraft("Art"))
        seller, suspended = await open_seller(catalog), await open_seller(catalog)
        shelves = [await shelve(catalog, 1, seller=seller, category_id=each.id) for each in (home, tea, tea)]
        await shelve(catalog, 1, seller=suspended, category_id=tea.id)
        await shelve(catalog, 1, seller=seller, category_id=pots.id, published=False)
        await catalog.set_seller(suspended, False, 2)
        await catalog.archive_product(seller.id, shelves[2].product_id)
        assert _outline((await catalog.get_categories()).items) == [
            ("Art", 0, []),
            _branch(("Home", 2), ("Pots", 1), ("Tea", 1)),
        ]
        for parent, place in ((home.id, "/name"), (new_id(), "/parent_id")):
            error = await refused("validation", catalog.create_category(CategoryDraft("Pots", parent)))
            assert [problem.pointer for problem in error.errors] == [place]

    @pytest.mark.behaviour("catalog-1")
    async def test_a_category_moves_with_all_below_it(self, catalog: Catalog) -> None:
        home = await catalog.create_category(CategoryDraft("Home"))
        pots = await catalog.create_category(CategoryDraft("Pots", home.id))
        tea = await catalog.create_category(CategoryDraft("Tea", pots.id))
        kitchen = await catalog.create_category(CategoryDraft("Kitchen"))
        shelf = await shelve(catalog, 1, category_id=tea.id)
        for parent in (pots.id, tea.id, new_id()):
            error = await refused("validation", catalog.update_category(pots.id, CategoryPatch(parent_id=parent)))
            assert [problem.pointer for problem in error.errors] == ["/parent_id"]
        moved = await catalog.update_category(pots.id, CategoryPatch("Jugs", kitchen.id))
        assert (moved.id, moved.slug, moved.name, moved.count) == (pots.id, pots.slug, "Jugs", 1)
        assert [below.id for below in moved.items] == [tea.id]
        page = (await catalog.get_product(shelf.product_id)).page
        assert page is not None
        assert page.category is not None
        assert page.category.path == ["Kitchen", "Jugs", "Tea"]
        for category, count in ((kitchen, 1), (home, 0)):
            assert len((await catalog.list_products(ProductQuery(category=category.slug))).items) == count
        await catalog.update_category(tea.id, CategoryPatch(parent_id=None))
        page = (await catalog.get_product(shelf.product_id)).page
        assert page is not None
        assert page.category is not None
        assert page.category.path == ["Tea"]
        error = await refused("validation", catalog.update_category(tea.id, CategoryPatch("Home")))
        assert [problem.pointer for problem in error.errors] == ["/name"]
        with pytest.raises(NotFound):
            await catalog.update_category(new_id(), CategoryPatch("Nothing"))
        assert await is_seen(catalog, shelf)

    async def test_only_an_empty_category_can_be_deleted(self, catalog: Catalog) -> None:
        home = await catalog.create_category(CategoryDraft("Home"))
        pots = await catalog.create_category(CategoryDraft("Pots", home.id))
        shelf = await shelve(catalog, 1, category_id=pots.id, published=False)
        for used in (home.id, pots.id):
            await refused("catalog.category_in_use", catalog.delete_category(used))
        await catalog.delete_product(shelf.seller.id, shelf.product_id, None)
        for empty in (pots.id, home.id):
            await catalog.delete_category(empty)
            with pytest.raises(NotFound):
                await catalog.delete_category(empty)
        assert (await catalog.get_categories()).items == []

    async def test_a_category_goes_or_gets_a_product_and_not_both(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        for _ in range(5):
            category = await catalog.create_category(CategoryDraft(new_id()))
            drafts = [ProductDraft(title="Pot", category_id=category.id) for _ in range(3)]
            made = asyncio.gather(*(catalog.create_product(seller.id, draft) for draft in drafts), return_exceptions=True)
            gone = asyncio.gather(catalog.delete_category(category.id), return_exceptions=True)
            products, [deleted] = await made, await gone
            wrong = [getattr(each, "code", None) for each in products if isinstance(each, BaseException)]
            assert set(wrong) <= {"validation"}
            assert (deleted is None) == (len(wrong) == len(drafts))
            assert deleted is None or getattr(deleted, "code", None) == "catalog.category_in_use"


Outline = tuple[str, int, list[Any]]


def _outline(items: list[Category]) -> list[Outline]:
    return [(each.name, each.count, _outline(each.items)) for each in items]


def _branch(*nodes: tuple[str, int]) -> Outline:
    (name, count), *rest = nodes
    return (name, count, [_branch(*rest)] if rest else [])
