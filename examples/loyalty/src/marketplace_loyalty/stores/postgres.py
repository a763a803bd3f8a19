"""Loyalty in PostgreSQL: a document per order, a sum per account and currency."""

from __future__ import annotations

import msgspec

from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import Money
from marketplace_loyalty.domain import Purchase
from marketplace_loyalty.store import LoyaltyStore

__all__ = ["PostgresLoyaltyStore", "make"]

_OPEN = """
INSERT INTO loyalty.purchases (order_id) VALUES ($1)
ON CONFLICT (order_id) DO UPDATE SET order_id = excluded.order_id RETURNING document::text
"""

_ADD = """
INSERT INTO loyalty.accounts AS a (account_id, currency, spent) VALUES ($1, $2, $3)
ON CONFLICT (account_id, currency) DO UPDATE SET spent = a.spent + excluded.spent
"""


class PostgresLoyaltyStore(LoyaltyStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, uow: UnitOfWork, order_id: str) -> Purchase:
        return _decode(await self._database.on(uow).value(_OPEN, order_id))

    async def lock(self, uow: UnitOfWork, order_id: str) -> Purchase | None:
        found = await self._database.on(uow).value(
            "SELECT document::text FROM loyalty.purchases WHERE order_id = $1 FOR UPDATE", order_id
        )
        return None if found is None else _decode(found)

    async def save(self, uow: UnitOfWork, order_id: str, purchase: Purchase) -> None:
        await self._database.on(uow).execute(
            "UPDATE loyalty.purchases SET document = $2::text::jsonb WHERE order_id = $1", order_id, json_text(purchase)
        )

    async def add(self, uow: UnitOfWork, account_id: str, amount: Money) -> None:
        await self._database.on(uow).execute(_ADD, account_id, amount.currency, amount.amount)

    async def spent(self, account_id: str) -> list[Money]:
        rows = await self._database.fetch(
            "SELECT spent, currency FROM loyalty.accounts WHERE account_id = $1 ORDER BY currency", account_id
        )
        return [Money(row["spent"], row["currency"]) for row in rows]


def _decode(document: str) -> Purchase:
    return msgspec.json.decode(document, type=Purchase)


def make(context: PluginContext) -> PostgresLoyaltyStore:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresLoyaltyStore(context.database)
