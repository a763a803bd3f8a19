"""A shop window of many: the tree of categories and their lists over 266,000 products, uncached, beside the rows alone."""

# ruff: noqa: S608 - the numbers are of this file
from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from figures import Bench, Line, figure
from market import Market
from marketplace_catalog import views
from marketplace_catalog.stores.postgres import PostgresCatalogStore

from marketplace_core.adapters._waits import unhurried
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.migrate import migrate_database
from marketplace_core.capabilities.catalog import ProductQuery

__all__: list[str] = []

PRODUCTS, TOPS, MIDS, LEAVES, SELLERS = 266_000, 20, 425, 7_000, 300
#: Of which 20,000 products are in one category.
LARGE = 20_000
_FILL = (
    f"INSERT INTO catalog.sellers SELECT 's' || n, 'Seller ' || n, true, 1 FROM generate_series(0, {SELLERS - 1}) n",
    "INSERT INTO catalog.categories (id, parent_id, slug, name, name_key, ancestors, path)"
    " SELECT 'a' || n, NULL, 'a' || n, 'Top ' || n, 'top ' || n, '{}', ARRAY['Top ' || n]"
    f" FROM generate_series(0, {TOPS - 1}) n",
    "INSERT INTO catalog.categories (id, parent_id, slug, name, name_key, ancestors, path)"
    " SELECT 'b' || n, up.id, 'b' || n, 'Mid ' || n, 'mid ' || n, up.ancestors || up.id, up.path || ('Mid ' || n)"
    f" FROM generate_series(0, {MIDS - 1}) n JOIN catalog.categories up ON up.id = 'a' || n % {TOPS}",
    "INSERT INTO catalog.categories (id, parent_id, slug, name, name_key, ancestors, path)"
    " SELECT 'c' || n, up.id, 'c' || n, 'Leaf ' || n, 'leaf ' || n, up.ancestors || up.id, up.path || ('Leaf ' || n)"
    f" FROM generate_series(0, {LEAVES - 1}) n JOIN catalog.categories up ON up.id = 'b' || n % {MIDS}",
    "INSERT INTO catalog.products (id, seller_id, slug, title, description, category_id, attributes, images, status, price,"
    f" currency, created_at, updated_at) SELECT 'p' || n, 's' || n % {SELLERS}, 'p' || n, 'Product ' || n, 'Of iron.',"
    f" CASE WHEN n <= {LARGE} THEN 'c0' ELSE 'c' || n::bigint * 7919 % {LEAVES} END, '{{}}', '[]', 'published',"
    " n * 31 % 90000 + 1, 'EUR', timestamptz '2026-01-01' + n * interval '1 second', now()"
    f" FROM generate_series(1, {PRODUCTS}) n",
    "INSERT INTO catalog.variants (id, product_id, seller_id, sku, title, options, position, price, currency, on_hand)"
    f" SELECT 'v' || n, 'p' || n, 's' || n % {SELLERS}, 'k' || n, '', '{{}}', 1, n * 31 % 90000 + 1, 'EUR', 5"
    f" FROM generate_series(1, {PRODUCTS}) n",
    "ANALYZE",
)
RUNS = 30


@figure("categories")
async def categories(bench: Bench) -> list[Line]:
    """Milliseconds of what the catalogue does for the tree, and for a page of a category, without its cache."""
    market = Market()
    try:
        bench.say(f"categories: filling {PRODUCTS:,} products")
        server = market.postgres
        await server.start()
        try:
            database = market.database("postgres")
            await _fill(database)
            return await _lines(PostgresCatalogStore(database))
        finally:
            await server.stop()
    finally:
        await market.close()


async def _fill(database: Database) -> None:
    from marketplace_catalog import plugin  # noqa: PLC0415 - its hooks are read where it is used

    await migrate_database(database, {"catalog": plugin.migrations()})
    with unhurried(None):
        for statement in _FILL:
            async with database.connection() as connection:
                await connection.script(f"SET statement_timeout = 0; {statement}")


async def _lines(store: PostgresCatalogStore) -> list[Line]:
    async def tree() -> bytes:
        return msgspec.json.encode(await asyncio.to_thread(views.category_tree, await store.list_categories()))

    def page(category: str, sort: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: store.list_cards(ProductQuery(category=category, sort=sort), None)

    lines = [await _line(f"tree of {TOPS + MIDS + LEAVES:,} categories", tree)]
    for name, category in (("20,000 products", "c0"), ("a branch of 18", "b1"), ("a branch of 372", "a1")):
        for sort in ("newest", "-price"):
            lines.append(await _line(f"category of {name}, {sort}", page(category, sort)))
    return lines


async def _line(name: str, act: Callable[[], Awaitable[Any]]) -> Line:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        await act()
        times.append((time.perf_counter() - began) * 1000)
    return Line(name=name, unit="ms", ours=sorted(times), at_most=15.0, note=f"over {PRODUCTS:,} products, uncached")
