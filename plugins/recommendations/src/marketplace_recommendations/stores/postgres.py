"""Recommendations in PostgreSQL. A batch of events is one transaction, and each kind of fact in it one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, Row, json_text
from marketplace_core.capabilities.catalog import Card
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_recommendations.domain import RECENCY, Alike, Neighbour, Placed
from marketplace_recommendations.store import Changes, Features, Kept, Known, RecommendationsStore, Shelf, Trail
from marketplace_recommendations.stores import sql

__all__ = ["PostgresRecommendationsStore", "make"]

_card = msgspec.json.Decoder(Card).decode
_neighbours = msgspec.json.Decoder(list[tuple[str, float, bool]]).decode


class PostgresRecommendationsStore(RecommendationsStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── following events ─────────────────────────────────────────────────────────────────────────────────────

    async def follow(self, uow: UnitOfWork, changes: Changes) -> list[str]:
        connection = self._database.on(uow)
        full = [fact for fact in changes.products if fact.card is not None]
        part = [fact for fact in changes.products if fact.card is None]
        if full:
            await connection.execute(sql.SAVE_PRODUCTS, json_text(full))
        if part:
            await connection.execute(sql.SAVE_STOCK, json_text(part))
        if changes.sellers:
            await connection.execute(sql.SAVE_SELLERS, json_text(changes.sellers))
        if changes.signals:
            # Whoever becomes unknown waits for us, or we see it.
            await connection.execute(sql.LOCK_PEOPLE.format("_shared"))
            await connection.execute(sql.SAVE_SIGNALS, json_text(changes.signals))
        if not changes.of_shelves:
            return []
        ids, sellers = [fact.id for fact in changes.products], [fact.id for fact in changes.sellers]
        return [row["id"] for row in await connection.fetch(sql.GONE, ids, sellers)]

    async def forget_old(self, uow: UnitOfWork, before: datetime, limit: int, *, purchases: bool) -> int:
        rows = await self._database.on(uow).fetch(sql.FORGET_OLD, before, limit, purchases)
        return len(rows)

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────

    async def is_unknown(self, person: str) -> bool:
        return bool(await self._database.value("SELECT true FROM recommendations.unknown WHERE person = $1", person))

    async def make_unknown(self, uow: UnitOfWork, person: str, *, erased: bool) -> None:
        connection = self._database.on(uow)
        await connection.execute(sql.LOCK_PEOPLE.format(""))
        await connection.execute(
            "INSERT INTO recommendations.unknown AS u (person, erased) VALUES ($1, $2)"
            " ON CONFLICT (person) DO UPDATE SET erased = u.erased OR excluded.erased",
            person,
            erased,
        )
        await connection.execute("DELETE FROM recommendations.signals WHERE person = $1", person)

    async def make_known(self, uow: UnitOfWork, person: str) -> None:
        await self._database.on(uow).execute("DELETE FROM recommendations.unknown WHERE person = $1 AND NOT erased", person)

    async def known(self, person: str, limit: int) -> Known:
        row = await self._database.row(sql.KNOWN, person, limit)
        return Known(row["unknown"], row["recent"], row["bought"], row["again"]) if row else Known(False, [], [], [])

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────────

    async def alike(self, ids: Sequence[str], limit: int) -> Alike:
        rows = await self._database.fetch(sql.NEIGHBOURS, list(ids), limit, RECENCY)
        found: dict[str, list[Neighbour]] = {}
        for row in rows:
            if row["neighbours"] is not None:
                found[row["id"]] = [Neighbour(*each) for each in _neighbours(row["neighbours"])]
            elif row["category"]:
                # Of the same category, the most popular first: less like it than anything that people chose together.
                found[row["id"]] = [Neighbour(id_, 0.01 * 0.9**n, False) for n, id_ in enumerate(row["category"])]
        return Alike(found, rows[0]["recency"] if rows else RECENCY)

    async def shelves(self, ids: Sequence[str]) -> dict[str, Shelf]:
        rows = await self._database.fetch(f"{sql.SHELF} WHERE p.buyable AND p.id = ANY($1::text[])", list(ids))
        return {shelf.card.id: shelf for shelf in map(_shelf, rows)}

    async def has_product(self, product_id: str) -> bool:
        return bool(await self._database.value("SELECT shown FROM recommendations.products WHERE id = $1", product_id))

    async def products_of(self, variant_ids: Sequence[str]) -> list[str]:
        if not variant_ids:
            return []
        rows = await self._database.fetch(
            "SELECT id FROM recommendations.products WHERE available ?| $1::text[]", list(variant_ids)
        )
        return [row["id"] for row in rows]

    async def popular(self, limit: int) -> list[Shelf]:
        rows = await self._database.fetch(
            f"{sql.SHELF} WHERE p.buyable ORDER BY p.heat DESC NULLS LAST, p.since DESC LIMIT $1::int", limit
        )
        return [_shelf(row) for row in rows]

    async def placed(self) -> list[Placed]:
        rows = await self._database.fetch(sql.PLACED)
        return [Placed(row["id"], row["seller_id"], row["category_id"], row["heat"], row["since"]) for row in rows]

    # ── training ─────────────────────────────────────────────────────────────────────────────────────────────

    async def trails(self, after: str, limit: int) -> list[Trail]:
        rows = await self._database.fetch(sql.TRAILS, after, limit)
        return [Trail(row["person"], row["products"], row["bought"]) for row in rows]

    async def features(self, after: str, limit: int) -> list[Features]:
        rows = await self._database.fetch(
            "SELECT id, seller_id, category_path, title FROM recommendations.products"
            " WHERE shown AND id > $1 ORDER BY id LIMIT $2::int",
            after,
            limit,
        )
        return [Features(row["id"], row["seller_id"], row["category_path"], row["title"]) for row in rows]

    async def add_neighbours(self, uow: UnitOfWork, generation: int, rows: Sequence[Kept]) -> None:
        given = [
            {"id": row.product_id, "neighbours": json_text([list(each) for each in row.neighbours]), "again": row.again}
            for row in rows
        ]
        await self._database.on(uow).execute(
            "INSERT INTO recommendations.neighbours (generation, product_id, neighbours, again)"
            " SELECT $1::bigint, id, neighbours, again"
            " FROM jsonb_to_recordset($2::text::jsonb) AS g(id text, neighbours text, again boolean) ON CONFLICT DO NOTHING",
            generation,
            json_text(given),
        )

    async def publish_model(self, uow: UnitOfWork, generation: int, figures: Mapping[str, Any]) -> None:
        connection = self._database.on(uow)
        await connection.execute("LOCK TABLE recommendations.models IN EXCLUSIVE MODE")
        newer = await connection.value("SELECT true FROM recommendations.models WHERE generation > $1", generation)
        if newer:
            return  # begun later, and done earlier
        await connection.execute("DELETE FROM recommendations.models")
        await connection.execute(
            "INSERT INTO recommendations.models (generation, trained_at, figures, current)"
            " VALUES ($1, $2, $3::text::jsonb, true)",
            generation,
            uow.now,
            json_text(figures),
        )
        await connection.execute("DELETE FROM recommendations.neighbours WHERE generation < $1", generation)


def _shelf(row: Row) -> Shelf:
    return Shelf(_card(row["card"]), row["seller_id"], row["category_id"])


def make(context: PluginContext) -> PostgresRecommendationsStore:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresRecommendationsStore(context.database)
