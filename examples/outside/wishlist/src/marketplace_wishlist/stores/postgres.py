"""Wishlists in PostgreSQL."""

from __future__ import annotations

from marketplace_core.adapters.postgres import Database
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_wishlist.domain import Wish
from marketplace_wishlist.store import WishlistStore

__all__ = ["PostgresWishlistStore", "make"]

_WISHES = "SELECT product_id, title, added_at FROM wishlist.wishes WHERE account_id = $1"


class PostgresWishlistStore(WishlistStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def wishes(self, account_id: str) -> list[Wish]:
        rows = await self._database.fetch(f"{_WISHES} ORDER BY added_at DESC, product_id", account_id)
        return [Wish(**row) for row in rows]

    async def find(self, account_id: str, product_id: str) -> Wish | None:
        row = await self._database.row(f"{_WISHES} AND product_id = $2", account_id, product_id)
        return None if row is None else Wish(**row)

    async def lock(self, uow: UnitOfWork, account_id: str) -> list[Wish]:
        connection = self._database.on(uow)
        # One who has no wish yet has no row to lock.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('wishlist' || $1, 0))", account_id)
        return [Wish(**row) for row in await connection.fetch(_WISHES, account_id)]

    async def add(self, uow: UnitOfWork, account_id: str, wish: Wish) -> None:
        sql = "INSERT INTO wishlist.wishes (account_id, product_id, title, added_at) VALUES ($1, $2, $3, $4)"
        await self._database.on(uow).execute(sql, account_id, wish.product_id, wish.title, wish.added_at)

    async def remove(self, uow: UnitOfWork, account_id: str, product_id: str) -> None:
        sql = "DELETE FROM wishlist.wishes WHERE (account_id, product_id) = ($1, $2)"
        await self._database.on(uow).execute(sql, account_id, product_id)

    async def forget_product(self, uow: UnitOfWork, product_id: str) -> None:
        await self._database.on(uow).execute("DELETE FROM wishlist.wishes WHERE product_id = $1", product_id)


def make(context: PluginContext) -> PostgresWishlistStore:
    return PostgresWishlistStore(context.database)
