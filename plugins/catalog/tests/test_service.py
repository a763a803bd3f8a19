"""Use cases beyond the suite: what is emitted, what is dropped from the cache, what reads cost."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from marketplace_catalog import reservations
from marketplace_catalog.pictures import FetchPictures
from msgspec.structs import replace
from PIL import Image
from redis.asyncio import Redis

from marketplace_core import calls
from marketplace_core.adapters.redis.reads import EncodedReads
from marketplace_core.capabilities.catalog import (
    CategoryDraft,
    ImportProduct,
    ImportVariant,
    MoneyInput,
    PriceRow,
    ProductChanged,
    ProductDraft,
    ProductPatch,
    ProductQuery,
    SellerProductQuery,
    StockRow,
    VariantPatch,
)
from marketplace_core.capabilities.sellers import SellerChanged
from marketplace_core.errors import BadCursor, MarketplaceError, Unavailable
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.catalog_shelves import (
    is_seen,
    lines,
    open_seller,
    shelve,
    shipped,
    stock,
    variants,
)
from marketplace_core.values import Money, new_id


async def test_what_a_change_of_a_product_emits(bench: Any) -> None:
    catalog, seller = bench.catalog, await open_seller(bench.catalog)
    shelf = await shelve(catalog, 5, seller=seller)
    await catalog.update_product(seller.id, shelf.product_id, ProductPatch(title="Kettle"), None)
    await catalog.set_prices(seller.id, [PriceRow(shelf.skus[0], MoneyInput(7, "EUR"))])
    await catalog.set_prices(seller.id, [PriceRow(shelf.skus[0], MoneyInput(7, "EUR"))])  # nothing changed
    await catalog.archive_product(seller.id, shelf.product_id)
    await catalog.archive_product(seller.id, shelf.product_id)
    await catalog.delete_product(seller.id, shelf.product_id, None)
    events = await bench.events()
    assert {(event["product_id"], event["seller_id"]) for event in events} == {(shelf.product_id, seller.id)}
    assert [event["status"] for event in events] == ["draft", "published", "published", "published", "archived"]
    pages = [event["page"] for event in events]
    assert [page and page["title"] for page in pages] == [None, "Tea pot", "Kettle", "Kettle", None]
    assert pages[3]["variants"][0]["price"] == {"amount": 7, "currency": "EUR"}
    assert pages[3]["seller"] == {"id": seller.id, "name": seller.name}


async def test_nobody_is_shown_what_a_closed_shop_changes(bench: Any) -> None:
    shelf = await shelve(bench.catalog, 5)
    await bench.catalog.set_seller(shelf.seller, False, 2)
    await bench.catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(title="Kettle"), None)
    last = (await bench.events())[-1]
    assert (last["status"], last["page"]) == ("published", None)


async def test_what_is_emitted_of_units(bench: Any) -> None:
    catalog = bench.catalog
    shelf, key = await shelve(catalog, 5, 5), new_id()
    first, second = shelf.ids
    await catalog.reserve(key, lines(shelf, 2, 1), 900)
    await catalog.reserve(key, lines(shelf, 2, 1), 900)
    await catalog.commit(key)  # as many can be bought as before
    await bench.deliver(shipped(shelf, 1))
    await catalog.set_stock(shelf.seller.id, [StockRow(shelf.skus[0], delta=1), StockRow(shelf.skus[1], quantity=5)])
    await catalog.restock(new_id())
    held = new_id()
    await catalog.reserve(held, lines(shelf, 1), 900)
    await bench.later(901)
    events = await bench.events("catalog.stock_changed")
    assert {event["product_id"] for event in events} == {shelf.product_id}
    assert [event["available"] for event in events] == [{first: 3, second: 4}, {first: 4}, {first: 3}, {first: 4}]


async def test_imports_say_that_they_are(bench: Any) -> None:
    seller = await open_seller(bench.catalog)
    given = [
        ImportProduct(
            key=f"p{n}",
            seller_id=seller.id,
            title="Pot",
            description="",
            category=("Home",),
            attributes={},
            image=None,
            variants=(ImportVariant(sku=f"p{n}", price=Money(5, "EUR"), stock=n),),
        )
        for n in range(3)
    ]
    with calls.scope(calls.Call(origin="import")):
        await bench.catalog.import_products(given)
        await bench.catalog.import_products(given)
    rows = await bench.database.fetch("SELECT payload FROM marketplace.outbox ORDER BY id")
    assert len(rows) == 3
    assert all('"origin":"import"' in row["payload"] for row in rows)


async def test_pictures_are_fetched_from_where_a_file_says(bench: Any) -> None:
    """One that is none fails alone; one that is there is shown, and not fetched again."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body={"/pot.png": out.getvalue(), "/cut.png": out.getvalue()[:60]}.get(request.path, b"no"))

    app = web.Application()
    app.router.add_get("/{name}", answer)
    async with TestServer(app) as server:
        addresses = tuple(str(server.make_url(path)) for path in ("/pot.png", "/cut.png", "/page"))
        seller = await open_seller(bench.catalog)
        variant = ImportVariant(sku="p", price=Money(5, "EUR"), stock=1)
        given = ImportProduct(
            key="p",
            seller_id=seller.id,
            title="Pot",
            description="",
            category=(),
            attributes={},
            image=None,
            variants=(variant,),
            addresses=addresses,
        )
        await bench.catalog.import_products([given])
        [job] = await bench.database.fetch("SELECT payload FROM marketplace.outbox WHERE kind = 'job'")
        [pot] = (await bench.catalog.list_seller_products(seller.id, SellerProductQuery())).items
        assert msgspec.json.decode(job["payload"], type=FetchPictures) == FetchPictures(seller.id, pot.id)
        assert [image.status for image in pot.images] == ["pending"] * 3
        for _ in range(2):
            await bench.service.fetch_pictures(FetchPictures(seller.id, pot.id))
        await bench.catalog.import_products([replace(given, title="Kettle")])
        await bench.service.fetch_pictures(FetchPictures(seller.id, pot.id))
    await bench.egress.close()
    assert asked == ["/pot.png", "/cut.png", "/page"]
    [pot] = (await bench.catalog.list_seller_products(seller.id, SellerProductQuery())).items
    assert [image.status for image in pot.images] == ["ready", "rejected", "rejected"]
    page = (await bench.catalog.get_product(pot.id)).page
    assert page is not None
    assert [(image.width, image.height) for image in page.images] == [(40, 30)]


async def test_what_is_refused_emits_nothing(bench: Any) -> None:
    shelf = await shelve(bench.catalog, 1)
    before = len(await bench.events()), len(await bench.events("catalog.stock_changed"))
    patch = ProductPatch(title="Kettle", variants=(VariantPatch(sku=shelf.skus[0], price=None),))
    for key in (None, "k"):
        with calls.scope(calls.Call(key=key)):
            await refused("validation", bench.catalog.update_product(shelf.seller.id, shelf.product_id, patch, None))
    await refused("orders.out_of_stock", bench.catalog.reserve(new_id(), lines(shelf, 2), 900))
    assert (len(await bench.events()), len(await bench.events("catalog.stock_changed"))) == before


@pytest.mark.behaviour("sellers-2")
async def test_a_shops_change_is_heard_of_by_event_too(bench: Any) -> None:
    shelf = await shelve(bench.catalog, 1)
    changed = SellerChanged(seller_id=shelf.seller.id, name="Lamp", status="suspended", version_number=3)
    await bench.deliver(changed)
    assert not await is_seen(bench.catalog, shelf)
    await bench.catalog.set_seller(shelf.seller, True, 2)
    assert not await is_seen(bench.catalog, shelf)


async def test_a_shop_that_is_not_known_yet_comes_again(bench: Any) -> None:
    with pytest.raises(Unavailable):
        await bench.catalog.create_product(new_id(), ProductDraft(title="Pot", variants=variants(1)))


async def test_more_variants_than_a_product_has(bench: Any) -> None:
    shelf = await shelve(bench.catalog, *[1] * 150)
    more = tuple(VariantPatch(sku=f"n{n}", options={"n": str(n)}, price=MoneyInput(1, "EUR")) for n in range(51))
    call = bench.catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(variants=more), None)
    assert [(each.pointer, each.code) for each in (await refused("validation", call)).errors] == [("/variants", "length")]
    patch = ProductPatch(variants=more[:50])
    assert len((await bench.catalog.update_product(shelf.seller.id, shelf.product_id, patch, None)).variants) == 200


async def test_a_rejected_product_is_not_its_sellers_to_publish(bench: Any) -> None:
    shelf = await shelve(bench.catalog, 1, published=False)
    for status in ("rejected", "in_review"):
        await bench.database.execute("UPDATE catalog.products SET status = $1", status)
        assert not await is_seen(bench.catalog, shelf)
        await refused("catalog.wrong_state", bench.catalog.publish_product(shelf.seller.id, shelf.product_id))


async def test_more_than_one_batch_expires(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "EXPIRY_BATCH", 3)
    shelf = await shelve(bench.catalog, 10)
    for _ in range(8):
        await bench.catalog.reserve(new_id(), lines(shelf, 1), 60)
    await bench.later(61)
    assert await stock(bench.catalog, shelf) == [(10, 0, 10)]


@pytest.mark.behaviour("all-3")
async def test_a_forged_cursor_is_refused(bench: Any) -> None:
    by_price, newest = ProductQuery(sort="price"), ProductQuery()
    forged = [
        (by_price, (2**63, "a")),
        (by_price, (5, "a\0b")),
        (by_price, ("5", "a")),
        (newest, ("today", "a")),
        (newest, (5,)),
    ]
    for query, key in forged:
        with pytest.raises(BadCursor):
            await bench.catalog.list_products(replace(query, cursor=query.cursor_after(key)))


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────


async def _kept(redis: Redis, tag: str, act: Any) -> bool:
    """Whether a read that is kept under ``tag`` outlives ``act``."""
    reads, path = EncodedReads(redis), f"/{new_id()}"
    look = await reads.look(path, "catalog", tag)
    assert look.ticket is not None
    await reads.keep(look.ticket, '"e"', b"{}")
    assert (await reads.look(path, "catalog", tag)).etag == '"e"'
    await act
    return (await reads.look(path, "catalog", tag)).etag is not None


async def test_what_the_worker_drops_again(bench: Any, redis_cache: Redis) -> None:
    """Also under the names that a product had: a reader may hold the page by any of them."""
    shelf = await shelve(bench.catalog, 1)
    renamed = await bench.catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(title="Kettle"), None)
    names = [shelf.product_id, shelf.slug, renamed.slug]
    for tag in ("lists", "categories", *(f"product:{name}" for name in names)):
        event = ProductChanged(product_id=shelf.product_id, seller_id=shelf.seller.id, status="archived")
        assert not await _kept(redis_cache, tag, bench.deliver(event))
    assert await _kept(redis_cache, "product:another", bench.deliver(event))


async def test_a_sale_drops_pages_and_lists_only_at_the_last_unit(bench: Any, redis_cache: Redis) -> None:
    shelf = await shelve(bench.catalog, 2)

    def buy() -> Any:
        return bench.catalog.reserve(new_id(), lines(shelf, 1), 900)

    assert await _kept(redis_cache, "lists", buy())
    assert not await _kept(redis_cache, "lists", buy())
    more = bench.catalog.set_stock(shelf.seller.id, [StockRow(shelf.skus[0], quantity=3)])
    assert not await _kept(redis_cache, f"product:{shelf.slug}", more)


# ── what it costs ────────────────────────────────────────────────────────────────────────────────────────────


async def test_statements_per_read(make_bench: Any, statements: list[str]) -> None:
    bench = make_bench()
    catalog, seller = bench.catalog, await open_seller(bench.catalog)
    category = await catalog.create_category(CategoryDraft("Pots"))
    shelves = [await shelve(catalog, 5, 5, seller=seller, category_id=category.id) for _ in range(25)]
    ids = [id_ for shelf in shelves for id_ in shelf.ids]
    reads = {
        "a list": lambda: catalog.list_products(ProductQuery(limit=20, category=category.slug, sort="price")),
        "a page": lambda: catalog.get_product(shelves[0].slug),
        "categories": catalog.get_categories,
        "variants": lambda: catalog.get_variants(ids),
        "a seller's list": lambda: catalog.list_seller_products(seller.id, SellerProductQuery(limit=20)),
    }
    for name, read in reads.items():
        statements.clear()
        await read()
        assert len(statements) == (2 if name == "a list" else 1), (name, statements)  # first which categories are below
    statements.clear()
    with pytest.raises(MarketplaceError):
        await catalog.get_product("nothing")
    assert len(statements) == 2


async def test_statements_do_not_grow_with_the_rows(make_bench: Any, statements: list[str]) -> None:
    bench = make_bench()
    catalog, seller = bench.catalog, await open_seller(bench.catalog)
    shelves = [await shelve(catalog, 5, 5, seller=seller) for _ in range(12)]
    skus, counts = [sku for shelf in shelves for sku in shelf.skus], []
    for number, some in ((1, skus[:2]), (2, skus)):
        for act in (
            lambda some=some, n=number: catalog.set_prices(seller.id, [PriceRow(sku, MoneyInput(n, "EUR")) for sku in some]),
            lambda some=some: catalog.set_stock(seller.id, [StockRow(sku, delta=1) for sku in some]),
        ):
            statements.clear()
            await act()
            counts.append(len(statements))
    assert counts[:2] == counts[2:]
    statements.clear()
    await catalog.reserve(new_id(), [line for shelf in shelves for line in lines(shelf, 1, 1)], 900)
    assert len(statements) == 4  # look and lock, take the key, move, emit
