"""The catalogue in PostgreSQL. Rows are made into JSON by the server and decoded once, into the types that leave.

Everybody locks in one order: the tree, products by id, reservations, variants by id, categories; skus come in by order too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import starmap
from typing import Any, Literal, NamedTuple

import msgspec

from marketplace_catalog.domain import MAX_DEPTH, CategoryNode, category_slug, name_key
from marketplace_catalog.store import CatalogStore, Frame, Position, ProductRecord
from marketplace_catalog.stores import sql
from marketplace_catalog.stores.postgres_stock import PostgresStockStore
from marketplace_core.adapters.postgres import Connection, Database, Row, UniqueViolation, json_text
from marketplace_core.capabilities.catalog import (
    Card,
    CategoryRef,
    ProductPage,
    ProductQuery,
    SellerProductQuery,
    SellerRef,
    SellerState,
    VariantView,
)
from marketplace_core.context import PluginContext
from marketplace_core.errors import Conflict, Invalid, Problem
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import new_id

__all__ = ["PostgresCatalogStore", "make"]

_decode_pages = msgspec.json.Decoder(list[ProductPage]).decode
_decode_variants = msgspec.json.Decoder(list[VariantView]).decode


class _Below(NamedTuple):
    """A category and those below it, as far as products are in them: so many, of roughly so many in all."""

    ids: list[str]
    products: int
    of: int

    def way(self, size: int) -> Literal["merged", "in order", "looked through"]:
        """By which the least rows are read: the first of each category, all in order until a page is full, or each."""
        merged, in_order = len(self.ids) * size, size * self.of // max(self.products, 1)
        if merged <= min(in_order, self.products):
            return "merged"
        return "in order" if in_order <= self.products else "looked through"


class PostgresCatalogStore(CatalogStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── for shoppers ─────────────────────────────────────────────────────────────────────────────────────────

    async def list_cards(self, query: ProductQuery, after: Position | None) -> list[tuple[Card, Position]]:
        key, kind, descends = sql.SORTS[query.sort]
        params: list[Any] = []
        where = ["p.status = 'published'", "s.active"]

        def param(value: Any) -> str:
            params.append(value)
            return f"${len(params)}"

        below = None if query.category is None else await self._filled_below(query.category)
        way = "looked through" if below is None or query.seller is not None else below.way(query.size)
        if query.seller is not None:
            where.append(f"p.seller_id = {param(query.seller)}")
        if query.min_price is not None:
            where.append(f"p.price >= {param(query.min_price)}::bigint")
        if query.max_price is not None:
            where.append(f"p.price <= {param(query.max_price)}::bigint")
        if after is not None:
            where.append(f"({key}, p.id) {'<' if descends else '>'} ({param(after[0])}::{kind}, {param(after[1])})")
        order = f"{key} DESC, p.id DESC" if descends else f"{key}, p.id"
        limit = f"LIMIT {param(query.size + 1)}::int"
        if below is not None and way != "merged":
            # Not the column itself: its index finds all of them, of which the page shows a few.
            column = "p.category_id" if way == "looked through" else "(p.category_id || '')"
            where.append(f"{column} = ANY({param(below.ids)}::text[])")
        elif below is not None:
            # The index of a category has its products in order: of each no more is read than the page may show.
            where.append("p.category_id = b.id")
        seen = f"{sql.SEEN} WHERE {' AND '.join(where)} ORDER BY {order} {limit}"
        if below is not None and way == "merged":
            seen = f"SELECT p.* FROM unnest({param(below.ids)}::text[]) AS b (id) CROSS JOIN LATERAL ({seen}) AS p"
            seen = f"{seen} ORDER BY {order} {limit}"
        # First which they are, and then what they show: else all variants are gone through for the few of a page.
        rows = await self._database.fetch(
            f"SELECT {sql.CARD}, {key} AS position, p.id FROM ({seen}) AS p"
            f" JOIN catalog.sellers s ON s.id = p.seller_id ORDER BY {order}",
            *params,
        )
        return [(msgspec.json.decode(row["card"], type=Card), (row["position"], row["id"])) for row in rows]

    async def _filled_below(self, id_or_slug: str) -> _Below:
        row = await self._database.row(sql.FILLED_BELOW, id_or_slug)
        return _Below(**row) if row else _Below([], 0, 0)

    async def find_page(self, id_or_slug: str) -> ProductPage | None:
        page = await self._database.value(sql.PAGE, id_or_slug)
        return None if page is None else msgspec.json.decode(page, type=ProductPage)

    async def scan_pages(self, after: str, limit: int) -> list[ProductPage]:
        return _decode_pages(await self._database.value(sql.SCAN, after, limit))

    async def get_pages(self, ids: Sequence[str]) -> list[ProductPage]:
        return _decode_pages(await self._database.value(sql.PAGES, list(ids)))

    async def find_moved(self, slug: str) -> str | None:
        found: str | None = await self._database.value(
            "SELECT p.slug FROM catalog.slugs o JOIN catalog.products p ON p.id = o.product_id AND p.status = 'published'"
            " JOIN catalog.sellers s ON s.id = p.seller_id AND s.active WHERE o.slug = $1",
            slug,
        )
        return found

    async def slugs(self, uow: UnitOfWork, product_id: str) -> list[str]:
        rows = await self._database.on(uow).fetch(
            "SELECT slug FROM catalog.products WHERE id = $1 UNION SELECT slug FROM catalog.slugs WHERE product_id = $1",
            product_id,
        )
        return [row["slug"] for row in rows]

    async def list_categories(self) -> list[CategoryNode]:
        return _nodes(await self._database.row(sql.CATEGORIES))

    async def get_variants(self, ids: Sequence[str]) -> list[VariantView]:
        return _decode_variants(await self._database.value(sql.VARIANTS, list(ids)))

    # ── for sellers ──────────────────────────────────────────────────────────────────────────────────────────

    async def get_product(self, seller_id: str, product_id: str) -> ProductRecord | None:
        text = await self._database.value(
            f"SELECT {sql.RECORD} FROM catalog.products p WHERE p.id = $1 AND p.seller_id = $2",
            product_id,
            seller_id,
        )
        return None if text is None else _record(text)

    async def list_products(
        self, seller_id: str, query: SellerProductQuery, after: Position | None
    ) -> list[tuple[ProductRecord, Position]]:
        rows = await self._database.fetch(
            f"SELECT {sql.RECORD}, p.created_at AS position, p.id FROM catalog.products p"
            " WHERE p.seller_id = $1 AND ($2::text IS NULL OR p.status = $2::text) AND ($3::text IS NULL OR EXISTS"
            " (SELECT FROM catalog.variants v WHERE v.product_id = p.id AND v.sku = $3::text))"
            " AND ($4::timestamptz IS NULL OR p.updated_at > $4::timestamptz OR EXISTS"
            " (SELECT FROM catalog.variants v WHERE v.product_id = p.id AND v.moved_at > $4::timestamptz))"
            " AND ($5::timestamptz IS NULL OR (p.created_at, p.id) < ($5::timestamptz, $6::text))"
            " ORDER BY p.created_at DESC, p.id DESC LIMIT $7::int",
            seller_id,
            query.status,
            query.sku,
            query.updated_after,
            *(after or (None, None)),
            query.size + 1,
        )
        return [(_record(row["record"]), (row["position"], row["id"])) for row in rows]

    async def lock_product(self, uow: UnitOfWork, seller_id: str | None, product_id: str) -> ProductRecord | None:
        found = "p.id = $1 AND ($2::text IS NULL OR p.seller_id = $2::text)"
        records = await _lock_products(self._database.on(uow), found, product_id, seller_id)
        return records[0] if records else None

    async def lock_products_of(self, uow: UnitOfWork, seller_id: str, skus: Sequence[str]) -> list[ProductRecord]:
        found = "p.id IN (SELECT product_id FROM catalog.variants WHERE seller_id = $1 AND sku = ANY($2::text[]))"
        return await _lock_products(self._database.on(uow), found, seller_id, list(skus))

    async def frames(self, uow: UnitOfWork, around: Collection[tuple[str, str | None]]) -> dict[tuple[str, str | None], Frame]:
        connection = self._database.on(uow)
        rows = await connection.fetch(
            "SELECT id, name, active FROM catalog.sellers WHERE id = ANY($1::text[])", list({seller for seller, _ in around})
        )
        sellers = {row["id"]: (SellerRef(row["id"], row["name"]), row["active"]) for row in rows}
        categories: dict[str | None, CategoryRef] = {}
        if wanted := {category for _, category in around if category is not None}:
            rows = await connection.fetch(
                "SELECT id, slug, name, path FROM catalog.categories WHERE id = ANY($1::text[]) ORDER BY id FOR KEY SHARE",
                list(wanted),
            )
            categories = {row["id"]: CategoryRef(**row) for row in rows}
        return {
            (seller, category): Frame(*sellers[seller], categories.get(category))
            for seller, category in around
            if seller in sellers
        }

    async def save_products(self, uow: UnitOfWork, products: Sequence[ProductRecord]) -> None:
        connection = self._database.on(uow)
        rows = json_text([_with_lowest(product) for product in products])
        await _unique(connection, sql.SAVE, rows, [product.id for product in products])

    async def delete_product(self, uow: UnitOfWork, product_id: str) -> None:
        await self._database.on(uow).execute("DELETE FROM catalog.products WHERE id = $1", product_id)

    async def digests(self, uow: UnitOfWork, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        rows = await self._database.on(uow).fetch(
            sql.DIGESTS,
            json_text([{"seller_id": seller_id, "import_key": key} for seller_id, key in keys]),
        )
        return {(row["seller_id"], row["import_key"]): row["digest"] for row in rows}

    async def lock_imported(
        self, uow: UnitOfWork, keys: Sequence[tuple[str, str]], ids: Sequence[str] = ()
    ) -> list[ProductRecord]:
        connection = self._database.on(uow)
        await _lock_tree(connection)
        found = f"p.id = ANY(ARRAY(SELECT o.id FROM {sql.IMPORTED} UNION ALL SELECT unnest($2::text[])))"
        wanted = [{"seller_id": seller_id, "import_key": key} for seller_id, key in keys]
        return await _lock_products(connection, found, json_text(wanted), list(ids))

    async def taken_skus(
        self, uow: UnitOfWork, skus: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[str, str | None]]:
        rows = await self._database.on(uow).fetch(
            sql.TAKEN,
            json_text([{"seller_id": seller_id, "sku": sku} for seller_id, sku in skus]),
        )
        return {(row["seller_id"], row["sku"]): (row["product_id"], row["import_key"]) for row in rows}

    async def referred_pictures(self, keys: Sequence[str]) -> set[str]:
        return {row["key"] for row in await self._database.fetch(sql.REFERRED, list(keys))}

    # ── categories and sellers ───────────────────────────────────────────────────────────────────────────────

    async def ensure_categories(self, uow: UnitOfWork, paths: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
        connection = self._database.on(uow)
        if not paths:
            return {}
        await _lock_tree(connection)
        wanted = list({tuple(name_key(name) for name in path): path for path in reversed(paths)}.items())[::-1]
        known: dict[tuple[str, ...], str] = {}
        for row in await connection.fetch(sql.WALK, json_text(wanted)):
            known[wanted[row["n"]][0][: row["depth"]]] = row["id"]
        missing = {keys[:depth]: path[:depth] for keys, path in reversed(wanted) for depth in range(1, len(path) + 1)}
        levels: dict[int, list[dict[str, Any]]] = {}
        for keys in sorted(missing.keys() - known.keys(), key=lambda keys: (len(keys), keys)):
            id_ = known[keys] = new_id()
            name = missing[keys][-1]
            row = {"id": id_, "parent_id": known.get(keys[:-1]), "slug": category_slug(name, id_)}
            levels.setdefault(len(keys), []).append({**row, "name": name, "name_key": keys[-1]})
        for rows in levels.values():
            await _unique(connection, sql.ADD_CATEGORIES, json_text(rows), MAX_DEPTH)
        return {path: known[tuple(name_key(name) for name in path)] for path in paths}

    async def add_category(self, uow: UnitOfWork, node: CategoryNode) -> bool:
        connection = self._database.on(uow)
        await _lock_tree(connection)
        return await _insert_category(connection, node)

    async def lock_categories(self, uow: UnitOfWork) -> list[CategoryNode]:
        connection = self._database.on(uow)
        await _lock_tree(connection)
        return _nodes(await connection.row(sql.CATEGORIES))

    async def save_category(self, uow: UnitOfWork, node: CategoryNode) -> None:
        connection = self._database.on(uow)
        renamed = "UPDATE catalog.categories SET name = $2, parent_id = $3::text, name_key = $4 WHERE id = $1"
        await _unique(connection, renamed, node.id, node.name, node.parent_id, name_key(node.name))
        await connection.execute(sql.HANG, node.id)

    async def delete_category(self, uow: UnitOfWork, category_id: str) -> bool:
        connection = self._database.on(uow)
        # Whoever is putting a product into it has a lock on it: after this wait the product can be seen.
        await connection.execute("SELECT FROM catalog.categories WHERE id = $1 FOR UPDATE", category_id)
        deleted = await connection.row(
            "DELETE FROM catalog.categories c WHERE c.id = $1"
            " AND NOT EXISTS (SELECT FROM catalog.products WHERE category_id = c.id)"
            " AND NOT EXISTS (SELECT FROM catalog.categories WHERE parent_id = c.id) RETURNING id",
            category_id,
        )
        return deleted is not None

    async def save_sellers(self, uow: UnitOfWork, states: Sequence[SellerState]) -> None:
        await self._database.on(uow).execute(
            "INSERT INTO catalog.sellers AS s (id, name, active, version)"
            " SELECT seller->>'id', seller->>'name', active, version"
            " FROM jsonb_to_recordset($1::text::jsonb) AS g(seller jsonb, active boolean, version bigint) ORDER BY 1"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, active = excluded.active, version = excluded.version"
            " WHERE s.version <= excluded.version",
            json_text(states),
        )


def _record(text: str) -> ProductRecord:
    return msgspec.json.decode(text, type=ProductRecord)


async def _lock_tree(connection: Connection) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('catalog.categories', 0))")


async def _lock_products(connection: Connection, condition: str, *params: Any) -> list[ProductRecord]:
    """Products, then their variants, each in the order of ids; then what they are is read, as nobody changes it now."""
    rows = await connection.fetch(f"SELECT p.id FROM catalog.products p WHERE {condition} ORDER BY p.id FOR UPDATE", *params)
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    locked = "SELECT FROM catalog.variants WHERE product_id = ANY($1::text[]) ORDER BY id FOR UPDATE"
    await connection.execute(locked, ids)
    rows = await connection.fetch(
        f"SELECT {sql.RECORD} FROM catalog.products p WHERE p.id = ANY($1::text[]) ORDER BY p.id", ids
    )
    return [_record(row["record"]) for row in rows]


def _with_lowest(product: ProductRecord) -> dict[str, Any]:
    """The row of a product carries the price of its cheapest variant, by which lists are sorted."""
    priced = [variant for variant in product.variants if variant.price is not None]
    lowest = min(priced, key=lambda variant: variant.price or 0, default=None)
    row = msgspec.structs.asdict(product)
    row |= {
        "price": lowest.price if lowest else None,
        "compare_at": lowest.compare_at if lowest else None,
        "currency": lowest.currency if lowest else None,
    }
    return row


async def _insert_category(connection: Connection, node: CategoryNode) -> bool:
    row = {"id": node.id, "parent_id": node.parent_id, "slug": node.slug, "name": node.name, "name_key": name_key(node.name)}
    rows = await _unique(connection, sql.ADD_CATEGORIES, json_text([row]), MAX_DEPTH)
    there = "SELECT id FROM catalog.categories WHERE id = $1"
    if not rows and node.parent_id is not None and await connection.row(there, node.parent_id) is not None:
        raise Invalid([Problem("/parent_id", "range", f"A tree of categories has at most {MAX_DEPTH} levels.")])
    return bool(rows)


def _nodes(row: Row | None) -> list[CategoryNode]:
    if row is None or row["ids"] is None:
        return []
    parents = [parent or None for parent in row["parents"]]  # the driver takes no NULL in an array
    columns = row["ids"], parents, row["slugs"], row["names"], row["counts"], row["levels"]
    return list(starmap(CategoryNode, zip(*columns, strict=True)))


async def _unique(connection: Connection, statement: str, *params: Any) -> list[dict[str, Any]]:
    try:
        return await connection.fetch(statement, *params)
    except UniqueViolation as error:
        if error.constraint == "variants_sku":
            raise Conflict("catalog.sku_taken", "Another variant of this seller has that SKU.") from error
        if error.constraint == "variants_options":
            problem = Problem("/variants", "duplicate", "Two variants have the same options.")
            raise Invalid([problem]) from error
        if error.constraint in {"categories_parent_id_name_key", "categories_name_key"}:
            raise Invalid([Problem("/name", "duplicate", "Its parent has a category of that name.")]) from error
        raise


def make(context: PluginContext) -> tuple[PostgresCatalogStore, PostgresStockStore]:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresCatalogStore(context.database), PostgresStockStore(context.database)
