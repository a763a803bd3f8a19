"""The part of the catalogue's suite that is about many at once: rows of stock and prices, the tree of categories."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from marketplace_core.capabilities.catalog import (
    Catalog,
    CategoryDraft,
    CategoryPatch,
    MoneyInput,
    PriceRow,
    ProductDraft,
    ProductPatch,
    ProductQuery,
    StockRow,
    VariantDraft,
    VariantPatch,
)
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.catalog_imports import branch, outline
from marketplace_core.testing.contracts.catalog_shelves import (
    is_seen,
    lines,
    open_seller,
    shelve,
    stock,
)
from marketplace_core.values import LARGEST_AMOUNT, Money, new_id

__all__ = ["BulkRules"]

EUR10, EUR20, USD10 = MoneyInput(10, "EUR"), MoneyInput(20, "EUR"), MoneyInput(10, "USD")


class BulkRules:
    # ── all of it ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_all_pages_are_scanned_once_and_in_order(self, catalog: Catalog) -> None:
        seller, hidden = await open_seller(catalog), await open_seller(catalog, "Lamp")
        shelves = [await shelve(catalog, 1, seller=seller) for _ in range(3)]
        other = await shelve(catalog, 1, seller=hidden)
        draft = await shelve(catalog, 1, seller=seller, published=False)
        await catalog.set_seller(hidden, False, 2)
        known = sorted(shelf.product_id for shelf in shelves)
        found: list[str] = []
        while len(pages := await catalog.scan_pages(found[-1] if found else "", 2)) == 2 and len(found) < 9:
            found += [page.id for page in pages]
        assert [*found, *(page.id for page in pages)] == known
        asked = await catalog.get_pages([known[0], known[2], other.product_id, draft.product_id, "nobody"])
        assert sorted(page.id for page in asked) == [known[0], known[2]]
        (first,) = [page for page in asked if page.id == known[0]]
        assert first == (await catalog.get_product(known[0])).page

    # ── stock and prices ─────────────────────────────────────────────────────────────────────────────────────

    async def test_a_price_is_below_what_it_is_compared_with(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        for compare_at in (EUR10, MoneyInput(9, "EUR")):
            drafted = VariantDraft(sku="a", price=EUR10, compare_at=compare_at)
            error = await refused(
                "validation", catalog.create_product(seller.id, ProductDraft(title="Pot", variants=(drafted,)))
            )
            assert [(problem.pointer, problem.code) for problem in error.errors] == [("/variants/0/compare_at", "range")]
        drafted = VariantDraft(sku="a", price=EUR10, compare_at=EUR20)
        made = await catalog.create_product(seller.id, ProductDraft(title="Pot", variants=(drafted,)))
        for change, pointer in (
            (VariantPatch(sku="a", compare_at=EUR10), "/variants/0/compare_at"),
            (VariantPatch(sku="a", price=EUR20), "/variants/0/price"),
        ):
            patch = ProductPatch(variants=(change,))
            error = await refused("validation", catalog.update_product(seller.id, made.id, patch, None))
            assert [(problem.pointer, problem.code) for problem in error.errors] == [(pointer, "range")]
        rows = [PriceRow("a", EUR20, EUR20), PriceRow("a", EUR20, None)]
        assert [(row.status, row.code) for row in (await catalog.set_prices(seller.id, rows)).items] == [
            ("rejected", "range"),
            ("updated", None),
        ]

    @pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "IDR"])
    async def test_a_price_is_up_to_the_largest_amount(self, catalog: Catalog, currency: str) -> None:
        """Of minor units, whatever the decimals: what every reader of JSON holds exactly."""
        price = msgspec.convert({"amount": LARGEST_AMOUNT, "currency": currency}, MoneyInput)
        shelf = await shelve(catalog, 1)
        await catalog.set_prices(shelf.seller.id, [PriceRow(shelf.skus[0], price)])
        held = await catalog.reserve(new_id(), lines(shelf, 1), 900)
        assert [line.unit_price for line in held.lines] == [Money(LARGEST_AMOUNT, currency)]
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"amount": LARGEST_AMOUNT + 1, "currency": currency}, MoneyInput)

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
        assert outline((await catalog.get_categories()).items) == [
            ("Art", 0, []),
            branch(("Home", 2), ("Pots", 1), ("Tea", 1)),
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

    async def test_a_tree_has_thirty_levels(self, catalog: Catalog) -> None:
        parent, made = None, []
        for level in range(30):
            made.append(await catalog.create_category(CategoryDraft(f"Level {level}", parent)))
            parent = made[-1].id
        await refused("validation", catalog.create_category(CategoryDraft("Below", parent)))
        top = await catalog.create_category(CategoryDraft("Top"))
        error = await refused("validation", catalog.update_category(made[0].id, CategoryPatch(parent_id=top.id)))
        assert [(problem.pointer, problem.code) for problem in error.errors] == [("/parent_id", "range")]
        await catalog.update_category(made[1].id, CategoryPatch(parent_id=top.id))

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
