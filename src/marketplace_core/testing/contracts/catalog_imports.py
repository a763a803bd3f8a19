"""The part of the catalogue's suite that is about imports: a batch of a file, judged by what it leaves."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from marketplace_core.capabilities.catalog import (
    Catalog,
    Category,
    CategoryDraft,
    ImportImage,
    ImportProduct,
    ImportResult,
    ImportVariant,
    LineRequest,
    SellerProduct,
    SellerProductQuery,
    SellerRef,
)
from marketplace_core.testing.contracts import refused, together
from marketplace_core.testing.contracts.catalog_shelves import lines, open_seller, shelve
from marketplace_core.values import Money, new_id

__all__ = ["ImportRules", "branch", "outline"]


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
        rest = {each.sku: result.status for each in given.variants if each.sku not in result.problems}
        assert result.variants == rest | dict.fromkeys(result.problems, "rejected")
        assert (result.code is None) == (result.detail is None) == (result.status != "rejected")
        assert bool(rest) == (result.status != "rejected")
    return [(result.status, result.code) for result in results]


async def of_seller(catalog: Catalog, seller: SellerRef) -> list[SellerProduct]:
    """Oldest first."""
    return (await catalog.list_seller_products(seller.id, SellerProductQuery(limit=100))).items[::-1]


Outline = tuple[str, int, list[Any]]


def outline(items: list[Category]) -> list[Outline]:
    return [(each.name, each.count, outline(each.items)) for each in items]


def branch(*nodes: tuple[str, int]) -> Outline:
    (name, count), *rest = nodes
    return (name, count, [branch(*rest)] if rest else [])


async def _available(catalog: Catalog, ids: list[str]) -> list[int]:
    views = {view.id: view.available for view in await catalog.get_variants(ids)}
    return [views[id_] for id_ in ids]


class ImportRules:
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
            "currencies": ("written", None),
            "options": ("written", None),
            "negative": ("rejected", "range"),
            "huge": ("rejected", "range"),
            "nobody": ("rejected", "not_found"),
            "deep": ("rejected", "length"),
            "long": ("rejected", "length"),
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
            product(seller, "deep", category=("A",) * 31),
            product(seller, "long", category=("壺" * 1000,)),
            product(other, "good", variants=(small,)),
        ]
        assert await imported(catalog, *products) == list(file.values())
        assert [len(await of_seller(catalog, each)) for each in (seller, other)] == [3, 1]
        skus = {each.sku for one in await of_seller(catalog, seller) for each in one.variants}
        assert skus == {"good-s", "a", "c"}, "of two that cannot be together the first is written"
        twice = [product(seller, "twice", variants=(variant("f"),)), product(seller, "twice", variants=(variant("g"),))]
        assert await imported(catalog, *twice) == [("written", None), ("rejected", "duplicate")]

    async def test_a_bad_row_of_an_import_keeps_its_variant(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        await imported(catalog, product(seller))
        [before] = await of_seller(catalog, seller)
        large = variant("pot-l", 7, size="L")
        assert await imported(catalog, product(seller, variants=(large,), keeps=("pot-s",))) == [("written", None)]
        [after] = await of_seller(catalog, seller)
        assert {each.sku: each.id for each in after.variants} == {each.sku: each.id for each in before.variants}
        assert {each.sku: each.stock.on_hand for each in after.variants} == {"pot-s": 5, "pot-l": 7}
        again = product(seller, variants=(large, variant("pot-x", size="S")), keeps=("pot-s",))
        [result] = await catalog.import_products([again])
        assert (result.status, result.variants["pot-x"]) == ("unchanged", "rejected")
        assert result.problems["pot-x"].code == "duplicate"
        assert await of_seller(catalog, seller) == [after]

    async def test_what_an_import_does_not_say_stays(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        small = replace(variant("pot", 5, size="S"), compare_at=Money(2000, "EUR"))
        await imported(catalog, product(seller, variants=(small,)))
        [pot] = await of_seller(catalog, seller)
        await catalog.archive_product(seller.id, pot.id)
        nothing: dict[str, Any] = {"unsaid": ("description", "category", "attributes"), "image": None}
        silent = ImportVariant(sku="pot", price=Money(1500, "EUR"), stock=0, stock_unsaid=True, options={"size": "S"})
        assert await imported(catalog, product(seller, variants=(silent,), **nothing)) == [("written", None)]
        [after] = await of_seller(catalog, seller)
        kept = ("id", "status", "description", "category_id", "attributes", "images")
        assert [getattr(after, name) for name in kept] == [pot.id, "archived", *(getattr(pot, name) for name in kept[2:])]
        [left] = after.variants
        assert (left.price, left.compare_at, left.stock.on_hand) == (Money(1500, "EUR"), Money(2000, "EUR"), 5)
        shown = product(seller, variants=(replace(silent, price=Money(2000, "EUR"), compare_at=None),), status="published")
        assert await imported(catalog, shown) == [("written", None)]
        [after] = await of_seller(catalog, seller)
        assert (after.status, after.variants[0].compare_at) == ("published", None)

    async def test_what_nobody_counts_never_runs_out(self, catalog: Catalog) -> None:
        seller, shelf = await open_seller(catalog), await shelve(catalog, 1)
        await imported(catalog, product(seller, facts={"untracked": {"pot-s": True}}))
        [pot] = await of_seller(catalog, seller)
        shelf = shelf._replace(ids=[each.id for each in pot.variants])
        for end in (catalog.commit, catalog.release, catalog.restock):
            key = new_id()
            await catalog.reserve(key, lines(shelf, 5), 900)
            assert await _available(catalog, shelf.ids) == [5, 5]
            await end(key)
            assert await _available(catalog, shelf.ids) == [5, 5]
        await refused("orders.out_of_stock", catalog.reserve(new_id(), lines(shelf, 0, 6), 900))

    async def test_a_count_takes_back_that_nobody_counts(self, catalog: Catalog) -> None:
        seller, shelf = await open_seller(catalog), await shelve(catalog, 1)
        unsaid = replace(variant("pot-s", size="S"), stock_unsaid=True)
        for variants, facts, told in (
            ((variant("pot-s", size="S"), variant("pot-l", size="L")), {"untracked": True}, True),
            ((unsaid, variant("pot-l", size="L")), {}, {"pot-s": True}),
            ((variant("pot-s", size="S"), variant("pot-l", size="L")), {}, None),
        ):
            assert await imported(catalog, product(seller, variants=variants, facts=facts)) == [("written", None)]
            [pot] = await of_seller(catalog, seller)
            assert pot.attributes.get("untracked") == told
        await catalog.reserve(new_id(), lines(shelf._replace(ids=[pot.variants[0].id]), 5), 900)
        assert await _available(catalog, [pot.variants[0].id]) == [0]

    async def test_what_a_unit_weighs(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        said: tuple[tuple[Any, int | None], ...] = (
            *((250, 250), (249.6, 250), ({"pot": 250}, 250), ({"jug": 250}, None), (None, None)),
            *(("250", None), (0, None), (-250, None), (1e30, None), ([250], None), ({"pot": "x"}, None)),
        )
        for weight, grams in said:
            changed = product(seller, attributes={"weight_g": weight}, facts={"digital": grams is None})
            await imported(catalog, replace(changed, variants=(variant("pot"),)))
            [pot] = await of_seller(catalog, seller)
            [view] = await catalog.get_variants([pot.variants[0].id])
            assert (view.weight_g, view.digital) == (grams, grams is None)
            held = (await catalog.reserve(key := new_id(), [LineRequest(view.id, 1)], 900)).lines[0]
            assert (held.weight_g, held.digital) == (grams, grams is None)
            await catalog.release(key)

    async def test_products_of_an_import_exchange_their_skus(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        pot, jug = (product(seller, key, variants=(variant(f"{key}-1", size="S"),)) for key in ("pot", "jug"))
        await imported(catalog, pot, jug)
        before = {each.variants[0].sku: each.variants[0].id for each in await of_seller(catalog, seller)}
        swapped = [replace(pot, variants=jug.variants), replace(jug, variants=pot.variants)]
        assert await imported(catalog, *swapped) == [("written", None)] * 2
        assert await imported(catalog, *swapped) == [("unchanged", None)] * 2
        after = {each.variants[0].sku: each.variants[0].id for each in await of_seller(catalog, seller)}
        assert after == before, "a variant moves as it is, with what is promised of it"
        refused = [pot, replace(jug, variants=(variant("jug-2"),), keeps=("pot-1",))]
        assert [status for status, _ in await imported(catalog, *refused)] == ["rejected", "written"]

    async def test_an_import_takes_a_sku_whose_product_comes_later(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        pot, jug = (product(seller, key, variants=(variant(f"{key}-1", size="S"),)) for key in ("pot", "jug"))
        await imported(catalog, pot, jug)
        [result] = await catalog.import_products([replace(pot, variants=jug.variants)])
        assert (result.code, result.problems["jug-1"].holder) == ("catalog.sku_taken", "jug")
        assert await imported(catalog, replace(pot, variants=jug.variants, takes=("jug-1",))) == [("written", None)]
        assert {each.status for each in await of_seller(catalog, seller)} == {"published", "draft"}
        assert await imported(catalog, replace(jug, variants=(variant("jug-2", size="S"),))) == [("written", None)]
        assert [(each.status, each.variants[0].sku) for each in await of_seller(catalog, seller)] == [
            ("published", "jug-1"),
            ("published", "jug-2"),
        ]
        again = [replace(pot, variants=jug.variants), replace(jug, variants=(variant("jug-2", size="S"),))]
        assert await imported(catalog, *again) == [("unchanged", None)] * 2

    async def test_names_of_categories_are_compared_as_people_do(self, catalog: Catalog) -> None:
        seller = await open_seller(catalog)
        paths = [("Home", "Café"), ("home", " CAFE\u0301 "), ("HOME", "café", "Tea")]
        await imported(catalog, *(product(seller, str(n), category=path) for n, path in enumerate(paths)))
        assert outline((await catalog.get_categories()).items) == [branch(("Home", 3), ("Café", 3), ("Tea", 1))]
        assert outline((await catalog.get_categories(2)).items) == [branch(("Home", 3), ("Café", 3))]
        await refused("validation", catalog.create_category(CategoryDraft("HOME ")))

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
