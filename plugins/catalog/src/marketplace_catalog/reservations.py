"""Use cases of reservations: what is held for an order, sold, given back, and forgotten in the end."""

from __future__ import annotations

from datetime import datetime, timedelta

from marketplace_catalog import views
from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.domain import StockLine
from marketplace_catalog.shelf import stock_changed
from marketplace_catalog.store import Short, StockChange, StockStore
from marketplace_core.capabilities.catalog import Catalog, LineRequest, Reservation
from marketplace_core.errors import Conflict
from marketplace_core.ports import Cache, UnitOfWork, Units, natural
from marketplace_core.values import require

__all__ = ["ReservationUseCases"]

EXPIRY_BATCH = 200
FORGET_BATCH = 1000


class ReservationUseCases(Catalog):
    """The part of the catalogue's service that is about stock that is promised."""

    units: Units
    _stock: StockStore
    _cache: Cache
    _config: CatalogConfig

    @natural
    async def reserve(
        self, uow: UnitOfWork, key: str, lines: list[LineRequest], seconds: int, instead_of: str | None = None
    ) -> Reservation:
        require(bool(lines), "/lines", "required", "Nothing is to be reserved.")
        wanted = [StockLine(line.variant_id, line.quantity) for line in lines]
        answer = await self._stock.reserve(uow, key, wanted, uow.now + timedelta(seconds=seconds), instead_of)
        if isinstance(answer, list):
            raise views.out_of_stock(answer)
        frozen, expires_at, changes = answer
        stock_changed(uow, self._cache, changes)
        return Reservation(key, frozen, expires_at)

    @natural
    async def extend(self, uow: UnitOfWork, key: str, until: datetime) -> None:
        await self._stock.extend(uow, key, until)

    @natural
    async def release(self, uow: UnitOfWork, key: str) -> None:
        stock_changed(uow, self._cache, await self._stock.release(uow, key))

    @natural
    async def withdraw(self, uow: UnitOfWork, key: str) -> bool:
        changes = await self._stock.withdraw(uow, key)
        stock_changed(uow, self._cache, changes or [])
        return changes is not None

    @natural
    async def commit(self, uow: UnitOfWork, key: str) -> None:
        changes = await self._stock.commit(uow, key)
        if changes is None:
            raise Conflict("orders.out_of_stock", "Nothing is held under this key.")
        if short := [change for change in changes if isinstance(change, Short)]:
            raise views.out_of_stock(short)
        stock_changed(uow, self._cache, [change for change in changes if isinstance(change, StockChange)])

    @natural
    async def restock(self, uow: UnitOfWork, key: str) -> None:
        stock_changed(uow, self._cache, await self._stock.restock(uow, key))

    async def expire_reservations(self) -> None:
        """A schedule: gives back what was held longer than agreed."""
        while await self._expire_some():
            pass

    @natural
    async def _expire_some(self, uow: UnitOfWork) -> bool:
        changes = await self._stock.expire(uow, EXPIRY_BATCH)
        stock_changed(uow, self._cache, changes)
        return bool(changes)

    async def forget_reservations(self) -> None:
        """A schedule: deletes those that ended long ago."""
        for committed in (False, True):
            while await self._forget_some(committed):
                pass

    @natural
    async def _forget_some(self, uow: UnitOfWork, committed: bool) -> bool:
        days = self._config.committed_days if committed else self._config.reservation_days
        forgotten = await self._stock.forget(uow, uow.now - timedelta(days=days), FORGET_BATCH, committed=committed)
        return forgotten >= FORGET_BATCH
