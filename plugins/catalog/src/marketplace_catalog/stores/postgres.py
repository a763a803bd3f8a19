"""The catalogue in PostgreSQL. Rows are made into JSON by the server and decoded once, into the types that leave.

Everybody locks in one order: the tree, products by id, reservations, variants by id, categories; skus come in by order too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from marketplace_catalog.domain import CategoryNode, category_slug
from marketplace_catalog.store import CatalogStore, Frame, Position, ProductRecord
from marketplace_catalog.stores import sql
from marketplace_catalog.stores.postgres_stock import PostgresStockStore
from marketplace_core.adapters.postgres import Connection, Database, UniqueViolation, json_text
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

_decode_variants = msgspec.json.Decoder(list[VariantView]).decode


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

        if query.category is not None:
            given = param(query.category)
            where.append(
                "p.category_id IN (SELECT below.id FROM catalog.categories top JOIN catalog.categories below"
                f" ON below.id = top.id OR top.id = ANY(below.ancestors) WHERE top.id = {given} OR top.slug = {given})"
            )
        if query.seller is not None:
            where.append(f"p.seller_id = {param(query.seller)}")
        if query.min_price is not None:
            where.append(f"p.price >= {param(query.min_price)}::bigint")
        if query.max_price is not None:
            where.append(f"p.price <= {param(query.max_price)}::bigint")
        if after is not None:
            where.append(f"({key}, p.id) {'<' if descends else '>'} ({param(after[0])}::{kind}, {param(after[1])})")
        order = f"{key} DESC, p.id DESC" if descends else f"{key}, p.id"
        rows = await self._database.fetch(
            f"SELECT {sql.CARD}, {key} AS position, p.id FROM catalog.products p JOIN catalog.sellers s ON s.id = p.seller_id"
            f" WHERE {' AND '.join(where)} ORDER BY {order} LIMIT {param(query.size + 1)}::int",
            *params,
        )
        return [(msgspec.json.decode(row["card"], type=Card), (row["position"], row["id"])) for row in rows]

    async def find_page(self, id_or_slug: str) -> ProductPage | None:
        page = await self._database.value(sql.PAGE, id_or_slug)
        return None if page is None else msgspec.json.decode(page, type=ProductPage)

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
        return [CategoryNode(**row) for row in await self._database.fetch(sql.CATEGORIES)]

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

    async def lock_product(self, uow: UnitOfWork, seller_id: str, product_id: str) -> ProductRecord | None:
        found = "p.id = $1 AND p.seller_id = $2"
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
        await _unique(connection, sql.SAVE, json_text([_with_lowest(product) for product in products]))

    async def delete_product(self, uow: UnitOfWork, product_id: str) -> None:
        await self._database.on(uow).execute("DELETE FROM catalog.products WHERE id = $1", product_id)

    async def lock_imported(
        self, uow: UnitOfWork, keys: Sequence[tuple[str, str]], ids: Sequence[str] = ()
    ) -> list[ProductRecord]:
        connection = self._database.on(uow)
        await _lock_tree(connection)
        found = (
            "p.id IN (SELECT o.id FROM catalog.products o"
            " JOIN jsonb_to_recordset($1::text::jsonb) AS w(seller_id text, import_key text) USING (seller_id, import_key)"
            " UNION ALL SELECT unnest($2::text[]))"
        )
        wanted = [{"seller_id": seller_id, "import_key": key} for seller_id, key in keys]
        return await _lock_products(connection, found, json_text(wanted), list(ids))

    async def taken_skus(self, uow: UnitOfWork, skus: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        rows = await self._database.on(uow).fetch(
            "SELECT v.seller_id, v.sku, v.product_id FROM catalog.variants v"
            " JOIN jsonb_to_recordset($1::text::jsonb) AS w(seller_id text, sku text) USING (seller_id, sku)",
            json_text([{"seller_id": seller_id, "sku": sku} for seller_id, sku in skus]),
        )
        return {(row["seller_id"], row["sku"]): row["product_id"] for row in rows}

    # ── categories and sellers ───────────────────────────────────────────────────────────────────────────────

    async def ensure_categories(self, uow: UnitOfWork, paths: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
        connection = self._database.on(uow)
        await _lock_tree(connection)
        rows = await connection.fetch("SELECT id, path FROM catalog.categories")
        known = {tuple(row["path"]): row["id"] for row in rows}
        missing = {path[:depth] for path in paths for depth in range(1, len(path) + 1)} - known.keys()
        for path in sorted(missing, key=lambda path: (len(path), path)):
            id_ = known[path] = new_id()
            parent = known.get(path[:-1])
            await _insert_category(connection, CategoryNode(id_, parent, category_slug(path[-1], id_), path[-1], 0))
        return known

    async def add_category(self, uow: UnitOfWork, node: CategoryNode) -> bool:
        connection = self._database.on(uow)
        await _lock_tree(connection)
        return await _insert_category(connection, node)

    async def lock_categories(self, uow: UnitOfWork) -> list[CategoryNode]:
        connection = self._database.on(uow)
        await _lock_tree(connection)
        return [CategoryNode(**row) for row in await connection.fetch(sql.CATEGORIES)]

    async def save_category(self, uow: UnitOfWork, node: CategoryNode) -> None:
        connection = self._database.on(uow)
        renamed = "UPDATE catalog.categories SET name = $2, parent_id = $3::text WHERE id = $1"
        await _unique(connection, renamed, node.id, node.name, node.parent_id)
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
    row: dict[str, Any] = msgspec.to_builtins(product)
    row |= {
        "price": lowest.price if lowest else None,
        "compare_at": lowest.compare_at if lowest else None,
        "currency": lowest.currency if lowest else None,
    }
    return row


async def _insert_category(connection: Connection, node: CategoryNode) -> bool:
    row = await _unique(
        connection,
        "INSERT INTO catalog.categories (id, parent_id, slug, name, ancestors, path)"
        " SELECT $1, $2::text, $3, $4::text, coalesce(up.ancestors || up.id, '{}'), coalesce(up.path, '{}') || $4::text"
        " FROM (SELECT 1) AS one LEFT JOIN catalog.categories up ON up.id = $2::text"
        " WHERE $2::text IS NULL OR up.id IS NOT NULL RETURNING id",
        node.id,
        node.parent_id,
        node.slug,
        node.name,
    )
    return bool(row)


async def _unique(connection: Connection, statement: str, *params: Any) -> list[dict[str, Any]]:
    try:
        return await connection.fetch(statement, *params)
    except UniqueViolation as error:
        if error.constraint == "variants_sku":
            raise Conflict("catalog.sku_taken", "Another variant of this seller has that SKU.") from error
        if error.constraint == "variants_options":
            problem = Problem("/variants", "duplicate", "Two variants have the same options.")
            raise Invalid([problem]) from error
        if error.constraint == "categories_parent_id_name_key":
            raise Invalid([Problem("/name", "duplicate", "Its parent has a category of that name.")]) from error
        raise


def make(context: PluginContext) -> tuple[PostgresCatalogStore, PostgresStockStore]:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresCatalogStore(context.database), PostgresStockStore(context.database)
