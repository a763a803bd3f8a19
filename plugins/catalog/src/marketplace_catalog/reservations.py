"""Use cases of reservations: what is held for an order, sold, given back, and forgotten in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from marketplace_catalog import views
from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.domain import StockLine
from marketplace_catalog.store import Short, StockChange, StockStore
from marketplace_core.capabilities.catalog import Catalog, LineRequest, Reservation, StockChanged
from marketplace_core.errors import Conflict, Unavailable
from marketplace_core.ports import Blobs, Cache, UnitOfWork, Units, natural
from marketplace_core.values import require

__all__ = ["ReservationUseCases"]

EXPIRY_BATCH = 200
FORGET_BATCH = 1000


class ReservationUseCases(Catalog):
    """The part of the catalogue's service that is about stock that is promised."""

    units: Units
    _stock: StockStore
    _cache: Cache
    _blobs: Blobs
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
        self._stock_changed(uow, changes)
        pictured = [replace(line, image=self._blobs.url(line.image)) if line.image else line for line in frozen]
        return Reservation(key, pictured, expires_at)

    @natural
    async def extend(self, uow: UnitOfWork, key: str, until: datetime) -> None:
        await self._stock.extend(uow, key, until)

    @natural
    async def release(self, uow: UnitOfWork, key: str) -> None:
        self._stock_changed(uow, await self._stock.release(uow, key))

    @natural
    async def withdraw(self, uow: UnitOfWork, key: str) -> bool:
        changes = await self._stock.withdraw(uow, key)
        self._stock_changed(uow, changes or [])
        return changes is not None

    @natural
    async def commit(self, uow: UnitOfWork, key: str) -> None:
        changes = await self._stock.commit(uow, key)
        if changes is None:
            raise Conflict("orders.out_of_stock", "Nothing is held under this key.")
        if short := [change for change in changes if isinstance(change, Short)]:
            raise views.out_of_stock(short)
        self._stock_changed(uow, [change for change in changes if isinstance(change, StockChange)])

    @natural
    async def restock(self, uow: UnitOfWork, key: str) -> None:
        self._stock_changed(uow, await self._stock.restock(uow, key))

    async def expire_reservations(self) -> None:
        """A schedule: gives back what was held longer than agreed."""
        while await self._expire_some():
            pass

    @natural
    async def _expire_some(self, uow: UnitOfWork) -> bool:
        changes = await self._stock.expire(uow, EXPIRY_BATCH)
        self._stock_changed(uow, changes)
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

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _stock_changed(self, uow: UnitOfWork, changes: Sequence[StockChange]) -> None:
        """Pages show how many there are; lists only whether there are any. One event per product."""
        changed = [change for change in changes if change.available != change.before]
        by_product: dict[str, dict[str, int]] = {}
        for change in changed:
            by_product.setdefault(change.product_id, {})[change.variant_id] = change.available
        for product_id, available in by_product.items():
            uow.emit(StockChanged(product_id=product_id, available=available))
        tags = [f"product:{name}" for change in changed for name in (change.product_id, change.slug)]
        if any((change.available > 0) != (change.before > 0) for change in changed):
            tags.append("lists")
        if tags:
            uow.after_commit(lambda: self._forget_stock(tags))

    async def _forget_stock(self, tags: list[str]) -> None:
        # A sale does not fail for a cache that is away: nobody reads from it, and it comes back empty. One that was only silent
        # comes back with pages that tell the former number, for as long as it keeps an entry.
        with contextlib.suppress(Unavailable):
            await self._cache.drop(tags)
