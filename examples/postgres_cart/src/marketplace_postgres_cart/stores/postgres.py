"""Carts in PostgreSQL: a row per cart, which is what its changes wait for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_postgres_cart.domain import CartState, Line
from marketplace_postgres_cart.store import CartStore

__all__ = ["PostgresCartStore", "make"]

#: Makes the rows that are missing, and locks them all, always in the same order.
_LOCK = """
INSERT INTO postgres_cart.carts AS c (id, changed_at) SELECT id, $2 FROM unnest($1::text[]) AS t(id) ORDER BY id COLLATE "C"
ON CONFLICT (id) DO UPDATE SET changed_at = c.changed_at RETURNING c.id, c.lines::text AS lines, c.moved_to
"""

_SAVE = """
INSERT INTO postgres_cart.carts (id, lines, moved_to, changed_at) VALUES ($1, $2::text::jsonb, $3, $4)
ON CONFLICT (id) DO UPDATE SET lines = excluded.lines, moved_to = excluded.moved_to, changed_at = excluded.changed_at
"""


class PostgresCartStore(CartStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, cart_id: str) -> CartState:
        row = await self._database.row(
            "SELECT id, lines::text AS lines, moved_to FROM postgres_cart.carts WHERE id = $1", cart_id
        )
        return CartState(cart_id, []) if row is None else _decode(row)

    async def lock(self, uow: UnitOfWork, cart_ids: Sequence[str]) -> list[CartState]:
        rows = await self._database.on(uow).fetch(_LOCK, list(cart_ids), uow.now)
        found = {row["id"]: _decode(row) for row in rows}
        return [found[cart_id] for cart_id in cart_ids]

    async def save(self, uow: UnitOfWork, cart: CartState) -> None:
        await self._database.on(uow).execute(_SAVE, cart.id, json_text(cart.lines), cart.moved_to, uow.now)

    async def claim_order(self, uow: UnitOfWork, order_id: str) -> bool:
        found = await self._database.on(uow).value(
            "INSERT INTO postgres_cart.orders (id, changed_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id",
            order_id,
            uow.now,
        )
        return found is not None

    async def take_order(self, uow: UnitOfWork, order_id: str) -> list[Line]:
        connection = self._database.on(uow)
        if await self.claim_order(uow, order_id):
            return []
        taken = await connection.value("SELECT taken::text FROM postgres_cart.orders WHERE id = $1 FOR UPDATE", order_id)
        await connection.execute("UPDATE postgres_cart.orders SET taken = '[]' WHERE id = $1", order_id)
        return msgspec.json.decode(taken, type=list[Line])

    async def note_order(self, uow: UnitOfWork, order_id: str, taken: Sequence[Line]) -> None:
        await self._database.on(uow).execute(
            "UPDATE postgres_cart.orders SET taken = $2::text::jsonb WHERE id = $1", order_id, json_text(list(taken))
        )

    async def expire(self, uow: UnitOfWork, before: datetime) -> None:
        connection = self._database.on(uow)
        await connection.execute("DELETE FROM postgres_cart.carts WHERE changed_at < $1", before)
        await connection.execute("DELETE FROM postgres_cart.orders WHERE changed_at < $1", before)


def _decode(row: dict[str, Any]) -> CartState:
    return CartState(row["id"], msgspec.json.decode(row["lines"], type=list[Line]), row["moved_to"])


def make(context: PluginContext) -> PostgresCartStore:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresCartStore(context.database)
