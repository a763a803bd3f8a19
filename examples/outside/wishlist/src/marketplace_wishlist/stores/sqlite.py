"""Wishlists in SQLite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from marketplace_sqlite.server import Database

from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_wishlist.domain import Wish
from marketplace_wishlist.store import WishlistStore

__all__ = ["SqliteWishlistStore", "make"]

_WISHES = "SELECT product_id, title, added_at FROM wishlist_wishes WHERE account_id = ?"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT = timedelta(microseconds=1)


class SqliteWishlistStore(WishlistStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def wishes(self, account_id: str) -> list[Wish]:
        rows = await self._database.fetch(f"{_WISHES} ORDER BY added_at DESC, product_id", account_id)
        return [_wish(row) for row in rows]

    async def find(self, account_id: str, product_id: str) -> Wish | None:
        row = await self._database.row(f"{_WISHES} AND product_id = ?", account_id, product_id)
        return None if row is None else _wish(row)

    async def lock(self, uow: UnitOfWork, account_id: str) -> list[Wish]:
        """Nobody else writes anything until the unit ends."""
        return [_wish(row) for row in await self._database.on(uow).fetch(_WISHES, account_id)]

    async def add(self, uow: UnitOfWork, account_id: str, wish: Wish) -> None:
        sql = "INSERT INTO wishlist_wishes (account_id, product_id, title, added_at) VALUES (?, ?, ?, ?)"
        at = (wish.added_at - _EPOCH) // _UNIT
        await self._database.on(uow).execute(sql, account_id, wish.product_id, wish.title, at)

    async def remove(self, uow: UnitOfWork, account_id: str, product_id: str) -> None:
        sql = "DELETE FROM wishlist_wishes WHERE (account_id, product_id) = (?, ?)"
        await self._database.on(uow).execute(sql, account_id, product_id)

    async def forget_product(self, uow: UnitOfWork, product_id: str) -> None:
        await self._database.on(uow).execute("DELETE FROM wishlist_wishes WHERE product_id = ?", product_id)


def _wish(row: dict[str, Any]) -> Wish:
    return Wish(row["product_id"], row["title"], _EPOCH + row["added_at"] * _UNIT)


def make(context: PluginContext) -> SqliteWishlistStore:
    database = context.connection()
    if not isinstance(database, Database):
        raise TypeError(f"a {type(database).__name__} is no SQLite")
    return SqliteWishlistStore(database)
