"""The part of the catalogue's suite that is about products: what sellers write, and what shoppers see of it."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest

from marketplace_core.capabilities.catalog import (
    Catalog,
    CategoryDraft,
    LineRequest,
    MoneyInput,
    ProductDraft,
    ProductPatch,
    ProductQuery,
    SellerProductQuery,
    SellerRef,
    VariantDraft,
    VariantPatch,
)
from marketplace_core.errors import BadCursor, NotFound, PreconditionFailed
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.catalog_shelves import is_seen, lines, open_seller, shelve, variants
from marketplace_core.values import Money, etag, new_id

__all__ = ["ProductRules"]

Sort = Literal["newest", "price", "-price", "rating"]
PRICES = [300, 100, 200, 100, 300, 100, 200]


class ProductRules:
    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_product_is_read_as_it_was_written(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        category = await catalog.create_category(CategoryDraft("Pots"))
        draft = ProductDraft(
            title="Tea pot",
            description="Of iron.",
            category_id=category.id,
            attributes={"litres": 1.5, "lid": True, "tags": ["iron", "black"], "weight": {"g": 1200}},
            variants=(
                VariantDraft(sku="pot-s", title="Small", options={"size": "S"}),
                VariantDraft(
                    sku="pot-l",
                    options={"size": "L"},
                    price=MoneyInput(2000, "EUR"),
                    compare_at=MoneyInput(2500, "EUR"),
                    stock=7,
                ),
            ),
        )
        product = await catalog.create_product(seller.id, draft)
        assert (product.title, product.description, product.category_id) == ("Tea pot", "Of iron.", category.id)
        assert (product.attributes, product.images, product.status) == (draft.attributes, [], "draft")
        small, large = product.variants
        assert (small.sku, small.title, small.options, small.price, small.compare_at) == (
            "pot-s",
            "Small",
            {"size": "S"},
            None,
            None,
        )
        assert (large.price, large.compare_at) == (Money(2000, "EUR"), Money(2500, "EUR"))
        assert (large.stock.on_hand, large.stock.reserved, large.stock.available) == (7, 0, 7)
        assert await catalog.get_seller_product(seller.id, product.id) == product

    async def test_every_problem_is_told_with_its_place(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        eur, usd = MoneyInput(100, "EUR"), MoneyInput(100, "USD")
        draft = ProductDraft(
            title="Pot",
            variants=(
                VariantDraft(sku="a", price=eur, options={"size": "1"}),
                VariantDraft(sku="a", price=eur, options={"size": "2"}),
                VariantDraft(sku="b", price=usd, options={"size": "1"}),
                VariantDraft(sku="c", price=eur, compare_at=usd, options={"size": "4"}),
                VariantDraft(sku="d", compare_at=eur, options={"size": "5"}),
            ),
        )
        error = await refused("validation", catalog.create_product(seller.id, draft))
        assert {(problem.pointer, problem.code) for problem in error.errors} == {
            ("/variants/1/sku", "duplicate"),
            ("/variants/2/options", "duplicate"),
            ("/variants/2/price/currency", "unknown_value"),
            ("/variants/3/compare_at/currency", "unknown_value"),
            ("/variants/4/price", "required"),
        }
        unknown = ProductDraft(title="Pot", category_id=new_id())
        error = await refused("validation", catalog.create_product(seller.id, unknown))
        assert [(problem.pointer, problem.code) for problem in error.errors] == [("/category_id", "not_found")]

    @pytest.mark.behaviour("catalog-1")
    async def test_a_sku_is_one_of_its_seller(self, catalog: Catalog) -> None:
        seller, other = await open_seller(catalog), await open_seller(catalog)
        draft = ProductDraft(title="Pot", variants=variants(1, prefix="pot"))
        await catalog.create_product(seller.id, draft)
        await refused("catalog.sku_taken", catalog.create_product(seller.id, draft))
        shelf = await shelve(catalog, 1, seller=seller)
        patch = ProductPatch(variants=(VariantPatch(sku="pot-0", options={"size": "x"}, price=MoneyInput(1, "EUR")),))
        await refused("catalog.sku_taken", catalog.update_product(seller.id, shelf.product_id, patch, None))
        await catalog.create_product(other.id, draft)

    @pytest.mark.behaviour("catalog-1")
    async def test_a_combination_of_options_is_one_of_its_product(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 1, 1)
        taken, free = {"size": "0"}, {"size": "0", "colour": "black"}
        for sku in (shelf.skus[1], "new"):
            patch = ProductPatch(variants=(VariantPatch(sku=sku, options=taken, price=MoneyInput(1, "EUR")),))
            error = await refused("validation", catalog.update_product(shelf.seller.id, shelf.product_id, patch, None))
            assert [(problem.pointer, problem.code) for problem in error.errors] == [("/variants/0/options", "duplicate")]
        patch = ProductPatch(variants=(VariantPatch(sku=shelf.skus[1], options=free),))
        await catalog.update_product(shelf.seller.id, shelf.product_id, patch, None)
        swapped = (VariantPatch(sku=shelf.skus[0], options=free), VariantPatch(sku=shelf.skus[1], options=taken))
        product = await catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(variants=swapped), None)
        assert [variant.options for variant in product.variants] == [free, taken]

    async def test_a_patch_changes_what_it_names(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 5, 6)
        first, second = shelf.skus
        category = await catalog.create_category(CategoryDraft("Pots"))
        patch = ProductPatch(
            description="Of iron.",
            category_id=category.id,
            variants=(
                VariantPatch(sku=second, price=MoneyInput(900, "EUR"), compare_at=MoneyInput(1000, "EUR"), stock=1),
                VariantPatch(sku="new", options={"size": "new"}, price=MoneyInput(800, "EUR")),
            ),
        )
        before = await catalog.get_seller_product(shelf.seller.id, shelf.product_id)
        product = await catalog.update_product(shelf.seller.id, shelf.product_id, patch, None)
        assert (product.title, product.description, product.category_id) == ("Tea pot", "Of iron.", category.id)
        assert product.variants[0] == before.variants[0]
        assert [(v.sku, v.price and v.price.amount, v.stock.on_hand) for v in product.variants] == [
            (first, 1000, 5),
            (second, 900, 1),
            ("new", 800, 0),
        ]
        clear = ProductPatch(category_id=None, variants=(VariantPatch(sku=second, compare_at=None),))
        product = await catalog.update_product(shelf.seller.id, shelf.product_id, clear, None)
        assert (product.category_id, product.description, product.variants[1].compare_at) == (None, "Of iron.", None)
        assert product.variants[1].price == Money(900, "EUR")
        assert await catalog.get_seller_product(shelf.seller.id, shelf.product_id) == product

    async def test_a_patch_that_cannot_be_says_why(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5, 5, 5), new_id()
        await catalog.reserve(key, lines(shelf, 0, 2), 900)
        priced = VariantPatch(sku=shelf.skus[2], compare_at=MoneyInput(2000, "EUR"))
        before = await catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(variants=(priced,)), None)
        usd = MoneyInput(100, "USD")
        cases: list[tuple[tuple[VariantPatch, ...], set[tuple[str, str]]]] = [
            ((VariantPatch(sku=shelf.skus[1], stock=1),), {("/variants/0/stock", "range")}),
            ((VariantPatch(sku=shelf.skus[1], price=usd),), {("/variants/0/price/currency", "unknown_value")}),
            ((VariantPatch(sku=shelf.skus[1], price=None),), {("/variants/0/price", "required")}),
            ((VariantPatch(sku="new", options={"size": "new"}),), {("/variants/0/price", "required")}),
            ((VariantPatch(sku=shelf.skus[0]),) * 2, {("/variants/1/sku", "duplicate")}),
            (
                tuple(VariantPatch(sku=sku, price=usd) for sku in shelf.skus),
                {("/variants/2/price/currency", "unknown_value")},
            ),
        ]
        for patch, problems in cases:
            call = catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(variants=patch), None)
            assert {(found.pointer, found.code) for found in (await refused("validation", call)).errors} == problems
        assert await catalog.get_seller_product(shelf.seller.id, shelf.product_id) == before
        both = [VariantPatch(sku=sku, price=usd, compare_at=None) for sku in shelf.skus]
        product = await catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(variants=tuple(both)), None)
        assert {variant.price for variant in product.variants} == {Money(100, "USD")}

    async def test_an_edit_of_something_older_is_refused(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 1)
        old = etag(await catalog.get_seller_product(shelf.seller.id, shelf.product_id))
        patch = ProductPatch(description="new")
        await catalog.update_product(shelf.seller.id, shelf.product_id, patch, f'"another", {old}')
        with pytest.raises(PreconditionFailed):
            await catalog.update_product(shelf.seller.id, shelf.product_id, patch, old)
        await catalog.archive_product(shelf.seller.id, shelf.product_id)
        with pytest.raises(PreconditionFailed):
            await catalog.delete_product(shelf.seller.id, shelf.product_id, old)
        await catalog.update_product(shelf.seller.id, shelf.product_id, patch, "*")
        now = etag(await catalog.get_seller_product(shelf.seller.id, shelf.product_id))
        await catalog.delete_product(shelf.seller.id, shelf.product_id, now)

    async def test_another_sellers_product_is_not_found(self, catalog: Catalog) -> None:
        shelf, other = await shelve(catalog, 1), await open_seller(catalog)
        for id_ in (shelf.product_id, new_id(), "no id at all"):
            patch = ProductPatch(title="Mine")
            acts: dict[Callable[..., Awaitable[object]], tuple[Any, ...]] = {
                catalog.get_seller_product: (),
                catalog.update_product: (patch, None),
                catalog.publish_product: (),
                catalog.archive_product: (),
                catalog.delete_product: (None,),
            }
            for act, arguments in acts.items():
                with pytest.raises(NotFound):
                    await act(other.id, id_, *arguments)
        assert await is_seen(catalog, shelf)
        assert (await catalog.list_seller_products(other.id, SellerProductQuery())).items == []

    # ── states ───────────────────────────────────────────────────────────────────────────────────────────────

    async def test_what_a_published_product_needs(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        empty = await catalog.create_product(seller.id, ProductDraft(title="Pot"))
        error = await refused("validation", catalog.publish_product(seller.id, empty.id))
        assert [problem.pointer for problem in error.errors] == ["/variants"]
        unpriced = (*variants(1), VariantDraft(sku="b", options={"size": "b"}), VariantDraft(sku="c", options={"size": "c"}))
        product = await catalog.create_product(seller.id, ProductDraft(title="Pot", variants=unpriced))
        error = await refused("validation", catalog.publish_product(seller.id, product.id))
        assert [problem.pointer for problem in error.errors] == ["/variants/1/price", "/variants/2/price"]

    @pytest.mark.behaviour("catalog-2")
    async def test_shoppers_see_what_is_published(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 1, published=False)
        seller, id_ = shelf.seller.id, shelf.product_id
        assert not await is_seen(catalog, shelf)
        for _ in range(2):
            for act, status in ((catalog.publish_product, "published"), (catalog.archive_product, "archived")):
                product = await act(seller, id_)
                assert (product.status, await is_seen(catalog, shelf)) == (status, status == "published")
                assert await act(seller, id_) == product

    @pytest.mark.behaviour("catalog-2", "sellers-2")
    async def test_of_a_seller_who_may_not_sell_nothing_is_seen(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 1)
        seller = shelf.seller
        await catalog.set_seller(seller, False, 3)
        assert not await is_seen(catalog, shelf)
        await catalog.set_seller(seller, True, 2)  # came late
        assert not await is_seen(catalog, shelf)
        await catalog.set_seller(SellerRef(seller.id, "Kettle"), True, 4)
        assert await is_seen(catalog, shelf)
        page = (await catalog.get_product(shelf.product_id)).page
        assert page is not None
        assert page.seller.name == "Kettle"

    async def test_what_can_be_deleted(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5), new_id()
        seller, id_ = shelf.seller.id, shelf.product_id
        await refused("catalog.wrong_state", catalog.delete_product(seller, id_, None))
        await catalog.reserve(key, lines(shelf, 1), 900)
        await catalog.archive_product(seller, id_)
        await refused("catalog.wrong_state", catalog.delete_product(seller, id_, None))
        await catalog.commit(key)
        await refused("catalog.wrong_state", catalog.delete_product(seller, id_, None))
        await catalog.restock(key)
        await catalog.delete_product(seller, id_, None)
        with pytest.raises(NotFound):
            await catalog.get_seller_product(seller, id_)
        assert await catalog.get_variants(shelf.ids) == []
        draft = await shelve(catalog, 1, published=False)
        await catalog.delete_product(draft.seller.id, draft.product_id, None)

    @pytest.mark.behaviour("catalog-1")
    async def test_a_former_address_leads_to_the_present_one(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 1, title="Tea pot")
        seller, id_ = shelf.seller.id, shelf.product_id
        slugs = [shelf.slug]
        for title in ("Kettle", "Cafetière"):
            slugs.append((await catalog.update_product(seller, id_, ProductPatch(title=title), None)).slug)
        assert len(set(slugs)) == 3
        assert [(await catalog.get_product(slug)).moved_to for slug in slugs] == [slugs[2], slugs[2], None]
        back = await catalog.update_product(seller, id_, ProductPatch(title="Tea pot"), None)
        found = {slug: (await catalog.get_product(slug)).moved_to for slug in {*slugs, back.slug}}
        assert found == {slug: None if slug == back.slug else back.slug for slug in {*slugs, back.slug}}
        await catalog.archive_product(seller, id_)
        for slug in slugs:
            with pytest.raises(NotFound):
                await catalog.get_product(slug)
        twin = await shelve(catalog, 1, title="Tea pot")
        assert twin.slug not in slugs

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_what_shoppers_see_of_a_product(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        home = await catalog.create_category(CategoryDraft("Home"))
        category = await catalog.create_category(CategoryDraft("Pots", home.id))
        cheap = VariantDraft(
            sku="s", options={"size": "S"}, price=MoneyInput(500, "EUR"), compare_at=MoneyInput(700, "EUR"), stock=0
        )
        draft = ProductDraft(
            title="Tea pot", category_id=category.id, attributes={"lid": True}, variants=(*variants(4, prefix="l"), cheap)
        )
        product = await catalog.create_product(seller.id, draft)
        await catalog.publish_product(seller.id, product.id)
        page = (await catalog.get_product(product.id)).page
        assert page is not None
        assert (page.id, page.slug, page.title, page.attributes) == (product.id, product.slug, "Tea pot", {"lid": True})
        assert page.category is not None
        assert (page.category.id, page.category.path) == (category.id, ["Home", "Pots"])
        assert (page.seller, page.rating.average, page.rating.count) == (seller, None, 0)
        assert [(v.sku, v.price, v.available) for v in page.variants] == [
            ("l-0", Money(1000, "EUR"), 4),
            ("s", Money(500, "EUR"), 0),
        ]
        [card] = (await catalog.list_products(ProductQuery(seller=seller.id))).items
        assert (card.id, card.slug, card.title, card.seller) == (product.id, product.slug, "Tea pot", seller)
        assert (card.price, card.compare_at, card.in_stock) == (Money(500, "EUR"), Money(700, "EUR"), True)
        await catalog.reserve(new_id(), [LineRequest(product.variants[0].id, 4)], 900)
        [card] = (await catalog.list_products(ProductQuery(seller=seller.id))).items
        assert not card.in_stock

    async def test_filters(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        top = await catalog.create_category(CategoryDraft("Top"))
        below = await catalog.create_category(CategoryDraft("Below", top.id))
        beside = await catalog.create_category(CategoryDraft("Beside"))
        places = (top.id, below.id, beside.id)
        shelves = [
            await shelve(catalog, 1, seller=seller, price=100 * n, category_id=place) for n, place in enumerate(places, 1)
        ]
        await shelve(catalog, 1, price=100, category_id=below.id)

        async def found(**filters: Any) -> list[int]:
            ids = {card.id for card in (await catalog.list_products(ProductQuery(**filters))).items}
            return [n for n, shelf in enumerate(shelves) if shelf.product_id in ids]

        assert await found(category=top.id) == await found(category=top.slug) == [0, 1]
        assert await found(category=below.slug) == [1]
        assert len((await catalog.list_products(ProductQuery(category=top.id))).items) == 3
        assert await found(seller=seller.id) == [0, 1, 2]
        assert await found(seller=seller.id, category=beside.id) == [2]
        assert await found(min_price=200) == [1, 2]
        assert await found(max_price=200) == [0, 1]
        assert await found(min_price=200, max_price=200) == [1]
        assert await found(min_price=300, max_price=200) == []
        assert await found(category="nothing") == await found(seller=new_id()) == []

    @pytest.mark.behaviour("all-3")
    @pytest.mark.parametrize("sort", ["newest", "price", "-price", "rating"])
    async def test_pages_are_stable_while_products_come(self, catalog: Catalog, sort: Sort) -> None:
        seller = await open_seller(catalog)
        shelves = [await shelve(catalog, 1, seller=seller, price=price) for price in PRICES]
        seen: list[str] = []
        cursor: str | None = None
        for turn in itertools.count():
            page = await catalog.list_products(ProductQuery(seller=seller.id, sort=sort, limit=2, cursor=cursor))
            assert len(page.items) <= 2
            seen += [card.id for card in page.items]
            cursor = page.next
            if cursor is None:
                break
            if turn == 1:
                await shelve(catalog, 1, seller=seller, price=200)
                await catalog.archive_product(seller.id, seen[0])
        known = [shelf.product_id for shelf in shelves]
        old = [id_ for id_ in seen if id_ in known]
        by_price = dict(zip(known, PRICES, strict=True))
        key = {"price": lambda id_: by_price[id_], "-price": lambda id_: -by_price[id_]}.get(sort)
        assert sorted(old) == sorted(known)
        assert len(seen) == len(set(seen))
        assert old == (known[::-1] if key is None else sorted(old, key=key))

    @pytest.mark.behaviour("all-3")
    async def test_a_cursor_of_another_list_is_refused(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        for _ in range(3):
            await shelve(catalog, 1, seller=seller)
        cursor = (await catalog.list_products(ProductQuery(limit=1))).next
        for filters in ({"sort": "price"}, {"seller": seller.id}, {"min_price": 1}):
            with pytest.raises(BadCursor):
                await catalog.list_products(ProductQuery(limit=1, cursor=cursor, **filters))
        own = (await catalog.list_seller_products(seller.id, SellerProductQuery(limit=1))).next
        for broken in ("", "x", "AAAA", own):
            with pytest.raises(BadCursor):
                await catalog.list_products(ProductQuery(cursor=broken))

    async def test_sellers_find_their_products(self, catalog: Catalog) -> None:
        draft = await shelve(catalog, 1, published=False)
        seller = draft.seller
        shelves = [draft, *[await shelve(catalog, 1, seller=seller) for _ in range(3)]]
        await catalog.archive_product(seller.id, shelves[1].product_id)
        ids = [shelf.product_id for shelf in shelves]

        async def found(**filters: Any) -> list[int]:
            page = await catalog.list_seller_products(seller.id, SellerProductQuery(**filters))
            return [ids.index(product.id) for product in page.items]

        assert await found() == [3, 2, 1, 0]
        assert await found(status="draft") == [0]
        assert await found(status="published") == [3, 2]
        assert await found(sku=shelves[2].skus[0]) == [2]
        assert await found(sku="nothing") == []
        edited = await catalog.update_product(seller.id, ids[0], ProductPatch(description="new"), None)
        assert await found(updated_after=edited.updated_at) == []
        since = (await catalog.get_seller_product(seller.id, ids[3])).updated_at
        assert await found(updated_after=since) == [1, 0]
        first = await catalog.list_seller_products(seller.id, SellerProductQuery(limit=3))
        rest = await catalog.list_seller_products(seller.id, SellerProductQuery(limit=3, cursor=first.next))
        assert [ids.index(product.id) for product in first.items + rest.items] == [3, 2, 1, 0]
        assert rest.next is None
