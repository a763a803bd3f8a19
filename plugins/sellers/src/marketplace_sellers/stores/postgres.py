"""Sellers in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Connection, Database, Row, UniqueViolation, json_text
from marketplace_core.capabilities.sellers import ApplicationQuery, Membership, SellerQuery
from marketplace_core.context import PluginContext
from marketplace_core.errors import Conflict, Invalid, Problem
from marketplace_core.pictures import PictureRecord
from marketplace_core.ports import UnitOfWork
from marketplace_sellers.domain import Application, Rate, Requirement, Shop
from marketplace_sellers.names import name_key
from marketplace_sellers.store import Position, SellersStore

__all__ = ["PostgresSellersStore", "make"]

_APPLICATION = (
    "a.id, a.account_id, a.seller_id, a.name, a.legal_name, a.country, a.contact_email, a.status, a.reason,"
    " a.requirements::text AS requirements, a.created_at"
)
_SHOP = (
    "s.id, s.name, s.slug, s.description, s.status, s.reason, s.country, s.version, s.products_count, s.created_at,"
    " s.rating_average, s.rating_count,"
    " (SELECT coalesce(l.document#>>'{sizes,card,url}', l.document->>'key') FROM sellers.logos l"
    " WHERE l.seller_id = s.id AND l.document->>'status' = 'ready' ORDER BY l.id DESC LIMIT 1) AS logo"
)
_NEWEST_OF = f"""
SELECT {_APPLICATION} FROM sellers.applications a WHERE a.account_id = $1 ORDER BY a.created_at DESC, a.id DESC LIMIT 1
"""

#: Rows go in by the order of their keys, so that two such calls never wait for each other. $1: shops as JSON
_ADD_SHOPS = """
INSERT INTO sellers.shops (id, name, name_key, slug, description, status, reason, country, version, created_at)
SELECT id, name, name_key, slug, description, status, reason, country, version, created_at
FROM jsonb_to_recordset($1::text::jsonb) AS g(id text, name text, name_key text, slug text, description text, status text,
  reason text, country text, version bigint, created_at timestamptz)
ORDER BY name_key
"""

#: An import made it, and nobody has moved in.
_NOBODYS = "(s.status = 'active' AND NOT EXISTS (SELECT FROM sellers.members m WHERE m.seller_id = s.id))"

#: Every blob that a logo is in, as its index has it.
_KEYS = """(jsonb_path_query_array(l.document, '$.key') || jsonb_path_query_array(l.document, '$.sizes.*.url')
  || jsonb_path_query_array(l.document, '$.source'))"""
_REFERRED = f"""
SELECT DISTINCT key FROM sellers.logos l, jsonb_array_elements_text({_KEYS}) AS key
WHERE {_KEYS} ?| $1::text[] AND key = ANY($1::text[])
"""

_TAKE_IN = """
WITH added AS (
  INSERT INTO sellers.published_products (product_id, seller_id) VALUES ($1, $2) ON CONFLICT (product_id) DO NOTHING
  RETURNING seller_id
), counted AS (
  UPDATE sellers.shops SET products_count = products_count + 1 WHERE id IN (SELECT seller_id FROM added)
)
SELECT seller_id FROM added
"""

_TAKE_OUT = """
WITH gone AS (
  DELETE FROM sellers.published_products WHERE product_id = $1 RETURNING seller_id
), counted AS (
  UPDATE sellers.shops SET products_count = products_count - 1 WHERE id IN (SELECT seller_id FROM gone)
)
SELECT seller_id FROM gone
"""


class PostgresSellersStore(SellersStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── applications ─────────────────────────────────────────────────────────────────────────────────────────

    async def add_application(self, uow: UnitOfWork, application: Application) -> None:
        try:
            await self._database.on(uow).execute(
                "INSERT INTO sellers.applications (id, account_id, name, legal_name, country, contact_email, status,"
                " requirements, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9)",
                application.id,
                application.account_id,
                application.name,
                application.legal_name,
                application.country,
                application.contact_email,
                application.status,
                json_text(application.requirements),
                application.created_at,
            )
        except UniqueViolation as error:
            raise Conflict("sellers.wrong_state", "This account has an open application already.") from error

    async def find_application(self, account_id: str) -> Application | None:
        return _application(await self._database.row(_NEWEST_OF, account_id))

    async def lock_application_of(self, uow: UnitOfWork, account_id: str) -> Application | None:
        return _application(await self._database.on(uow).row(f"{_NEWEST_OF} FOR UPDATE", account_id))

    async def lock_application(self, uow: UnitOfWork, application_id: str) -> Application | None:
        return _application(
            await self._database.on(uow).row(
                f"SELECT {_APPLICATION} FROM sellers.applications a WHERE a.id = $1 FOR UPDATE", application_id
            )
        )

    async def save_application(self, uow: UnitOfWork, application: Application) -> None:
        await self._database.on(uow).execute(
            "UPDATE sellers.applications SET status = $2, reason = $3, requirements = $4::text::jsonb, seller_id = $5"
            " WHERE id = $1",
            application.id,
            application.status,
            application.reason,
            json_text(application.requirements),
            application.seller_id,
        )

    async def list_applications(self, query: ApplicationQuery, after: Position | None) -> list[tuple[Application, Position]]:
        rows = await self._database.fetch(
            f"SELECT {_APPLICATION}, a.created_at AS position FROM sellers.applications a"
            " WHERE ($1::text IS NULL OR a.status = $1::text)"
            " AND ($2::timestamptz IS NULL OR (a.created_at, a.id) < ($2::timestamptz, $3::text))"
            " ORDER BY a.created_at DESC, a.id DESC LIMIT $4::int",
            query.status,
            *(after or (None, None)),
            query.size + 1,
        )
        return [(_known_application(row), (row["position"], row["id"])) for row in rows]

    # ── shops ────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_shop(self, uow: UnitOfWork, shop: Shop, owner_id: str) -> None:
        connection = self._database.on(uow)
        try:
            await connection.execute(_ADD_SHOPS, json_text([_row(shop)]))
            await connection.execute(
                "INSERT INTO sellers.members (account_id, seller_id, role) VALUES ($1, $2, 'owner')", owner_id, shop.id
            )
        except UniqueViolation as error:
            taken = error.constraint == "shops_name"
            detail = "Another shop has this name." if taken else "The applicant is in a shop already."
            raise Conflict("sellers.wrong_state", detail) from error

    async def add_missing(self, uow: UnitOfWork, shops: Sequence[Shop]) -> set[str]:
        rows = await self._database.on(uow).fetch(
            f"{_ADD_SHOPS} ON CONFLICT DO NOTHING RETURNING id", json_text([_row(shop) for shop in shops])
        )
        return {row["id"] for row in rows}

    async def add_owner(self, uow: UnitOfWork, seller_id: str, account_id: str) -> bool:
        added = await self._database.on(uow).row(
            "INSERT INTO sellers.members (account_id, seller_id, role) VALUES ($1, $2, 'owner')"
            " ON CONFLICT (account_id) DO NOTHING RETURNING account_id",
            account_id,
            seller_id,
        )
        return added is not None

    async def get_shops(self, ids: Sequence[str]) -> list[Shop]:
        rows = await self._database.fetch(f"SELECT {_SHOP} FROM sellers.shops s WHERE s.id = ANY($1::text[])", list(ids))
        return [Shop(**row) for row in rows]

    async def find_shops(self, uow: UnitOfWork, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Shop]:
        rows = await self._database.on(uow).fetch(
            f"SELECT {_SHOP}, s.name_key FROM sellers.shops s WHERE s.id = ANY($1::text[]) OR s.name_key = ANY($2::text[])",
            list(ids),
            list(keys),
        )
        by_key = {row.pop("name_key"): Shop(**row) for row in rows}
        return by_key | {shop.id: shop for shop in by_key.values()}

    async def is_taken(self, uow: UnitOfWork, key: str) -> bool:
        return await _exists(self._database.on(uow), f"FROM sellers.shops s WHERE s.name_key = $1 AND NOT {_NOBODYS}", key)

    async def find_nobodys(self, keys: Sequence[str]) -> dict[str, str]:
        rows = await self._database.fetch(
            f"SELECT s.name_key, s.id FROM sellers.shops s WHERE s.name_key = ANY($1::text[]) AND {_NOBODYS}", list(keys)
        )
        return {row["name_key"]: row["id"] for row in rows}

    async def lock_nobodys(self, uow: UnitOfWork, key: str) -> Shop | None:
        connection = self._database.on(uow)
        # Who waited for the lock sees by a statement of his own whether somebody has moved in meanwhile.
        await connection.execute("SELECT FROM sellers.shops WHERE name_key = $1 FOR UPDATE", key)
        row = await connection.row(f"SELECT {_SHOP} FROM sellers.shops s WHERE s.name_key = $1 AND {_NOBODYS}", key)
        return None if row is None else Shop(**row)

    async def lock_shop(self, uow: UnitOfWork, seller_id: str) -> Shop | None:
        row = await self._database.on(uow).row(f"SELECT {_SHOP} FROM sellers.shops s WHERE s.id = $1 FOR UPDATE", seller_id)
        return None if row is None else Shop(**row)

    async def save_shop(self, uow: UnitOfWork, shop: Shop) -> None:
        try:
            await self._database.on(uow).execute(
                "UPDATE sellers.shops SET name = $2, name_key = $3, description = $4, status = $5, reason = $6, version = $7,"
                " country = $8 WHERE id = $1",
                shop.id,
                shop.name,
                name_key(shop.name),
                shop.description,
                shop.status,
                shop.reason,
                shop.version,
                shop.country,
            )
        except UniqueViolation as error:
            raise Invalid([Problem("/name", "duplicate", "Another shop has this name.")]) from error

    async def list_shops(self, query: SellerQuery, after: Position | None) -> list[tuple[Shop, Position]]:
        rows = await self._database.fetch(
            f"SELECT {_SHOP}, s.created_at AS position FROM sellers.shops s"
            " WHERE ($1::text IS NULL OR s.status = $1::text)"
            " AND ($2::timestamptz IS NULL OR (s.created_at, s.id) < ($2::timestamptz, $3::text))"
            " ORDER BY s.created_at DESC, s.id DESC LIMIT $4::int",
            query.status,
            *(after or (None, None)),
            query.size + 1,
        )
        positions = [(row.pop("position"), row["id"]) for row in rows]
        return [(Shop(**row), position) for row, position in zip(rows, positions, strict=True)]

    async def get_membership(self, account_id: str) -> Membership | None:
        row = await self._database.row(
            "SELECT m.seller_id, m.role, s.status FROM sellers.members m JOIN sellers.shops s ON s.id = m.seller_id"
            " WHERE m.account_id = $1",
            account_id,
        )
        return None if row is None else Membership(**row)

    async def has_shop(self, uow: UnitOfWork, account_id: str) -> bool:
        return await _exists(self._database.on(uow), "FROM sellers.members WHERE account_id = $1", account_id)

    async def get_rates(self, seller_ids: Sequence[str], uow: UnitOfWork | None = None) -> list[Rate]:
        source = self._database if uow is None else self._database.on(uow)
        rows = await source.fetch(
            "SELECT seller_id, category_id, rate::text AS rate, valid_from FROM sellers.commission_rates"
            " WHERE seller_id IS NULL OR seller_id = ANY($1::text[])",
            list(seller_ids),
        )
        return [Rate(**row) for row in rows]

    async def save_rating(self, uow: UnitOfWork, seller_id: str, average: float | None, count: int) -> None:
        await self._database.on(uow).execute(
            "UPDATE sellers.shops SET rating_average = $2::float8, rating_count = $3::int WHERE id = $1",
            seller_id,
            average,
            count,
        )

    # ── logos ────────────────────────────────────────────────────────────────────────────────────────────────

    async def get_logo(self, logo_id: str, uow: UnitOfWork | None = None) -> PictureRecord | None:
        source = self._database if uow is None else self._database.on(uow)
        found = await source.value("SELECT document::text FROM sellers.logos WHERE id = $1", logo_id)
        return None if found is None else msgspec.json.decode(found, type=PictureRecord)

    async def save_logo(self, uow: UnitOfWork, seller_id: str, logo: PictureRecord) -> None:
        await self._database.on(uow).execute(
            "INSERT INTO sellers.logos (id, seller_id, document) VALUES ($1, $2, $3::text::jsonb)"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            logo.id,
            seller_id,
            json_text(logo),
        )

    async def delete_logos(self, uow: UnitOfWork, seller_id: str, before: str) -> None:
        await self._database.on(uow).execute("DELETE FROM sellers.logos WHERE seller_id = $1 AND id < $2", seller_id, before)

    async def referred_pictures(self, keys: Sequence[str]) -> set[str]:
        return {row["key"] for row in await self._database.fetch(_REFERRED, list(keys))}

    # ── what others know, and what is known of others ────────────────────────────────────────────────────────

    async def untold(self, ids: Sequence[str]) -> list[Shop]:
        rows = await self._database.fetch(
            f"SELECT {_SHOP} FROM sellers.shops s WHERE s.id = ANY($1::text[]) AND s.told_version < s.version", list(ids)
        )
        return [Shop(**row) for row in rows]

    async def mark_told(self, uow: UnitOfWork, versions: Mapping[str, int]) -> None:
        await self._database.on(uow).execute(
            "UPDATE sellers.shops s SET told_version = greatest(s.told_version, g.version)"
            " FROM jsonb_to_recordset($1::text::jsonb) AS g(id text, version bigint) WHERE s.id = g.id",
            json_text([{"id": id_, "version": version} for id_, version in versions.items()]),
        )

    async def set_published(self, uow: UnitOfWork, product_id: str, seller_id: str, published: bool) -> bool:
        connection = self._database.on(uow)
        if published:
            return await connection.value(_TAKE_IN, product_id, seller_id) is not None
        return await connection.value(_TAKE_OUT, product_id) is not None


async def _exists(connection: Connection, found: str, *params: Any) -> bool:
    return bool(await connection.value(f"SELECT EXISTS (SELECT {found}) AS found", *params))


def _application(row: Row | None) -> Application | None:
    return None if row is None else _known_application(row)


def _known_application(row: Row) -> Application:
    fields = {name: value for name, value in row.items() if name not in {"position", "requirements"}}
    return Application(**fields, requirements=msgspec.json.decode(row["requirements"], type=list[Requirement]))


def _row(shop: Shop) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(shop)
    return row | {"name_key": name_key(shop.name)}


def make(context: PluginContext) -> PostgresSellersStore:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresSellersStore(context.database)
