"""What every store of the catalogue guarantees by itself, whoever calls it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from marketplace_catalog.domain import CategoryNode, StockLine
from marketplace_catalog.store import CatalogStore, ProductRecord, Short, StockStore, VariantRecord
from marketplace_catalog.stores import sql

from marketplace_core.capabilities.catalog import ProductQuery, SellerRef, SellerState
from marketplace_core.errors import Conflict, Invalid
from marketplace_core.pictures import PictureRecord
from marketplace_core.testing.contracts import eventually
from marketplace_core.values import new_id

SELLER = SellerRef("seller", "Kettle & Sons")


@pytest.fixture
def bench(make_bench: Any) -> Any:
    return make_bench()


@pytest.fixture(params=["postgres"])
def store(request: pytest.FixtureRequest, bench: Any) -> CatalogStore:
    found: CatalogStore = {"postgres": bench.store}[request.param]
    return found


@pytest.fixture(params=["postgres"])
def units(request: pytest.FixtureRequest, bench: Any) -> StockStore:
    found: StockStore = {"postgres": bench.stock}[request.param]
    return found


def _product(at: datetime, *on_hand: int, **changes: Any) -> ProductRecord:
    id_ = changes.pop("id", None) or new_id()
    fields = {
        "id": id_,
        "seller_id": SELLER.id,
        "slug": f"pot-{id_}",
        "title": "Pot",
        "description": "Of iron.",
        "category_id": None,
        "attributes": {"deep": {"list": [1, "a", None, 0.1]}, "": True, "ünï": "\u2028"},
        "images": [],
        "status": "published",
        "reason_code": None,
        "created_at": at,
        "updated_at": at,
        "variants": [_variant(f"{id_}-{n}", count, size=str(n)) for n, count in enumerate(on_hand)],
    }
    return ProductRecord(**(fields | changes))


def _variant(sku: str, on_hand: int, price: int | None = 1000, **options: str) -> VariantRecord:
    currency = "EUR" if price else None
    return VariantRecord(
        id=new_id(), sku=sku, title="", options=options, price=price, compare_at=None, currency=currency, on_hand=on_hand
    )


async def _saved(bench: Any, store: CatalogStore, *on_hand: int, **changes: Any) -> ProductRecord:
    record = _product(bench.clock.now(), *on_hand, **changes)

    async def save(uow: Any) -> None:
        await store.save_sellers(uow, [SellerState(SELLER, True, 1)])
        await store.save_products(uow, [record])

    await bench.units.run(save)
    return record


async def test_a_record_is_read_as_it_was_written(bench: Any, store: CatalogStore) -> None:
    image = PictureRecord(new_id(), "catalog/aa/a.png", "ready", 10, 20)
    pending = PictureRecord(new_id(), "catalog/aa/b.png", "pending")
    record = await _saved(bench, store, 5, 0, images=[pending, image], digest="d", import_key="k", reason_code="r")
    assert await store.get_product(SELLER.id, record.id) == record
    assert await store.get_product("another", record.id) is None
    assert await bench.units.run(lambda uow: store.lock_product(uow, SELLER.id, record.id)) == record
    assert await bench.units.run(lambda uow: store.lock_product(uow, "another", record.id)) is None
    assert await bench.units.run(lambda uow: store.lock_imported(uow, [(SELLER.id, "k"), ("another", "k")])) == [record]
    skus = [record.variants[1].sku, "nothing"]
    assert await bench.units.run(lambda uow: store.lock_products_of(uow, SELLER.id, skus)) == [record]
    assert await bench.units.run(lambda uow: store.lock_products_of(uow, "another", skus)) == []
    taken = await bench.units.run(lambda uow: store.taken_skus(uow, [(SELLER.id, sku) for sku in skus]))
    assert taken == {(SELLER.id, skus[0]): (record.id, "k")}
    page = await store.find_page(record.id)
    assert page is not None
    assert [each.url for each in page.images] == ["catalog/aa/a.png"]
    [(card, _)] = await store.list_cards(ProductQuery(), None)
    assert card.image is not None
    assert (card.image.url, card.image.width) == ("catalog/aa/a.png", 10)


async def test_a_save_overwrites_and_leaves_what_is_promised(bench: Any, store: CatalogStore, units: StockStore) -> None:
    record = await _saved(bench, store, 5, 5, 5)
    kept, gone, other = record.variants
    until = bench.clock.now() + timedelta(hours=1)
    await bench.units.run(lambda uow: units.reserve(uow, "k", [StockLine(kept.id, 2)], until))
    old = record.slug
    record.title, record.slug, record.attributes = "Kettle", "kettle", {}
    record.variants = [other, kept, _variant("new", 1, **gone.options)]
    record.variants[1].on_hand = 9
    await bench.units.run(lambda uow: store.save_products(uow, [record]))
    kept.reserved = 2
    found = await store.get_product(SELLER.id, record.id)
    assert found is not None
    assert found.updated_at > record.updated_at, "units were promised since"
    record.updated_at = found.updated_at
    assert found == record
    assert await store.find_moved(old) == "kettle"
    assert sorted(await bench.units.run(lambda uow: store.slugs(uow, record.id))) == sorted([old, "kettle"])
    assert [view.id for view in await store.get_variants([gone.id])] == []


async def test_what_is_there_once(bench: Any, store: CatalogStore) -> None:
    first = await _saved(bench, store, 1)
    taken = _product(bench.clock.now(), variants=[_variant(first.variants[0].sku, 1)])
    with pytest.raises(Conflict, match=r"catalog\.sku_taken"):
        await bench.units.run(lambda uow: store.save_products(uow, [taken]))
    long = {f"option-{n}": "x" * 200 for n in range(20)}
    twice = _product(bench.clock.now(), variants=[_variant("a", 1, **long), _variant("b", 1, **long)])
    with pytest.raises(Invalid):
        await bench.units.run(lambda uow: store.save_products(uow, [twice]))
    twice.variants.pop()
    await bench.units.run(lambda uow: store.save_products(uow, [twice]))


async def test_what_surrounds_a_product(bench: Any, store: CatalogStore) -> None:
    await _saved(bench, store)
    node = CategoryNode(new_id(), None, "home", "Home", 0)
    assert await bench.units.run(lambda uow: store.add_category(uow, node))
    below = CategoryNode(new_id(), "nothing", "below", "Below", 0)
    assert not await bench.units.run(lambda uow: store.add_category(uow, below))
    around = {(SELLER.id, node.id), (SELLER.id, None), (SELLER.id, "nothing"), ("nobody", node.id)}
    frames = await bench.units.run(lambda uow: store.frames(uow, around))
    assert set(frames) == {(SELLER.id, node.id), (SELLER.id, None), (SELLER.id, "nothing")}
    assert frames[SELLER.id, node.id].category.path == ["Home"]
    assert frames[SELLER.id, None].category is frames[SELLER.id, "nothing"].category is None
    paths = [("Home", "Pots"), ("Home",), ("Art", "Modern", "French")]
    ids = await bench.units.run(lambda uow: store.ensure_categories(uow, paths))
    assert ids["Home",] == node.id
    assert await bench.units.run(lambda uow: store.ensure_categories(uow, paths)) == ids
    assert {each.name for each in await store.list_categories()} == {"Home", "Pots", "Art", "Modern", "French"}


async def test_units_by_the_store_alone(bench: Any, store: CatalogStore, units: StockStore) -> None:
    record = await _saved(bench, store, 10)
    [variant] = record.variants
    until = bench.clock.now() + timedelta(hours=1)

    async def buy(number: int) -> bool:
        line = StockLine(variant.id, 1)
        found = await bench.units.run(lambda uow: units.reserve(uow, str(number), [line], until))
        return not (isinstance(found, list) and isinstance(found[0], Short))

    assert sum(await asyncio.gather(*(buy(number) for number in range(50)))) == 10
    changes = await bench.units.run(lambda uow: units.release(uow, "0"))
    assert sum(change.available - change.before for change in changes) in {0, 1}
    locked = await bench.units.run(lambda uow: units.lock_skus(uow, SELLER.id, [variant.sku, "nothing"]))
    assert (locked[variant.sku].on_hand, locked[variant.sku].reserved) == (10, 10 - len(changes))
    assert await bench.units.run(lambda uow: units.lock_skus(uow, "another", [variant.sku])) == {}


async def test_a_few_expire_at_a_time(bench: Any, store: CatalogStore, units: StockStore) -> None:
    record = await _saved(bench, store, 10)
    [variant] = record.variants
    now = bench.clock.now()
    for number in range(5):
        line = [StockLine(variant.id, 1)]
        await bench.units.run(lambda uow, n=number, line=line: units.reserve(uow, str(n), line, now + timedelta(seconds=n)))
    await bench.clock.advance(3)
    freed = []
    while changes := await bench.units.run(lambda uow: units.expire(uow, 2)):
        freed += [change.available - change.before for change in changes]
    assert freed == [2, 2]


async def test_an_unknown_key_is_nobodys(bench: Any, units: StockStore) -> None:
    assert await bench.units.run(lambda uow: units.commit(uow, "k")) is None
    assert await bench.units.run(lambda uow: units.restock(uow, "k")) == []
    assert await bench.units.run(lambda uow: units.commit(uow, "k")) is None


async def test_skus_that_come_in_at_once_do_not_wait_for_each_other(bench: Any, store: CatalogStore) -> None:
    """Two that bring the same skus in another order: one is refused, none is a deadlock."""
    await _saved(bench, store)
    for turn in range(10):
        skus = [f"{turn}-{n}" for n in range(30)]
        given = [
            _product(bench.clock.now(), variants=[_variant(sku, 1, n=sku) for sku in order])
            for order in (skus, skus[::-1], skus, skus[::-1])
        ]
        calls = (bench.units.run(lambda uow, one=one: store.save_products(uow, [one])) for one in given)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 3 + ["NoneType"]


@pytest.mark.parametrize("end", ["commit", "release", "restock", "expire"])
async def test_a_repeat_meets_the_end_of_its_reservation(bench: Any, store: CatalogStore, units: StockStore, end: str) -> None:
    """The repeat has the variants and looks at the reservation, whose end has the reservation and waits for the variants."""
    [variant] = (await _saved(bench, store, 10)).variants
    line, until = [StockLine(variant.id, 1)], bench.clock.now() + timedelta(seconds=1)
    held = await bench.units.run(lambda uow: units.reserve(uow, "k", line, until))
    await bench.clock.advance(2)
    ending: list[asyncio.Task[Any]] = []

    async def ended(uow: Any) -> Any:
        return await (units.expire(uow, 1) if end == "expire" else getattr(units, end)(uow, "k"))

    async def repeat(uow: Any) -> Any:
        await units.lock_skus(uow, SELLER.id, [variant.sku])
        ending.append(asyncio.create_task(bench.units.run(ended)))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        await eventually(lambda: bench.database.value(waiting))
        return await units.reserve(uow, "k", line, until)

    again = await bench.units.run(repeat)
    assert again[:2] == held[:2]
    assert [change.available for change in await ending[0]] == [9 if end == "commit" else 10]


_FULL = """
INSERT INTO catalog.products (id, seller_id, import_key, slug, title, description, category_id, attributes, status, created_at,
  updated_at) SELECT 'p' || n, 'seller', 'k' || n, 'p' || n, '', '', NULL, '{}', 'draft', now(), now()
FROM generate_series(1, 2000) n;
INSERT INTO catalog.variants (id, product_id, seller_id, sku, title, options, position, on_hand)
SELECT 'v' || n, 'p' || n, 'seller', 's' || n, '', '{}', 1, 1 FROM generate_series(1, 2000) n;
INSERT INTO catalog.categories (id, parent_id, slug, name, name_key, ancestors, path)
SELECT 'c' || n, nullif('c' || n / 50, 'c0'), 'c' || n, 'C' || n, 'c' || n, '{}', '{}' FROM generate_series(1, 2000) n;
ANALYZE;
"""


@pytest.mark.parametrize("statement", [sql.DIGESTS, sql.TAKEN, sql.SAVE, sql.WALK], ids=["digests", "taken", "save", "walk"])
async def test_an_import_looks_for_rows_by_their_keys(bench: Any, store: CatalogStore, statement: str) -> None:
    """However many there are: no statement of it reads all rows of a table."""
    await _saved(bench, store)
    async with bench.database.connection() as connection:
        await connection.script(_FULL)
        products = [["p"] * 200] if statement is sql.SAVE else []
        rows = await connection.fetch(f"EXPLAIN {statement}", "[]", *products)
    plan = "\n".join(row["QUERY PLAN"] for row in rows)
    assert "Index Scan" in plan
    assert "Seq Scan" not in plan
