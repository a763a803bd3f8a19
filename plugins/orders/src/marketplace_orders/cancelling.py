"""Cancelling: of a pending order all, of a later one what is not shipped."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.orders import CancelItem, EventLine
from marketplace_core.errors import Conflict, NotFound
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import Money
from marketplace_orders import domain, happenings, views
from marketplace_orders.config import OrdersConfig
from marketplace_orders.open_orders import Ending, give_up
from marketplace_orders.store import OrderStore

__all__ = ["Cancelling", "check_cancellable", "units_of"]


class Cancelling:
    """Each method changes an order that is locked, and saves it."""

    def __init__(self, store: OrderStore, config: OrdersConfig) -> None:
        self._store = store
        self._config = config

    async def order(
        self, uow: UnitOfWork, record: domain.Order, items: list[CancelItem] | None, why: tuple[str, str], code: str | None
    ) -> None:
        """``why``: who, and for what reason. ``code``: what is shown as the failure of a pending order."""
        if record.status != "pending":
            await self.packages(uow, record, record.packages, items, why)
            return
        check_cancellable(record, items)
        await give_up(uow, self._store, record, Ending("cancelled", "orders.cancelled", why[0], code, why[1] or None))

    async def packages(
        self,
        uow: UnitOfWork,
        record: domain.Order,
        packages: Sequence[domain.Package],
        items: list[CancelItem] | None,
        why: tuple[str, str],
    ) -> None:
        if record.imported:
            raise Conflict("orders.not_cancellable", "An imported order is history.")
        if record.status in {"pending", "failed", "cancelled", "completed"}:
            raise Conflict("orders.not_cancellable", f"An order that is {record.status} cannot be cancelled.")
        wanted = units_of(packages, items)
        cancelled: list[tuple[domain.Package, list[EventLine], Money]] = []
        delivered: list[domain.Package] = []
        for package in packages:
            units = {line.id: wanted[line.id] for line in package.items if line.id in wanted}
            if units:
                lines = views.event_lines(package, units)
                cancelled.append((package, lines, _possible(package, units)))
                package.updated_at = uow.now
                if package.status == "delivered":  # what is cancelled was all that had not arrived
                    delivered.append(package)
        if not cancelled:
            raise Conflict("orders.not_cancellable", "Nothing is left that could be cancelled.")
        domain.settle(record, uow.now, self._config.complete_days)
        record.note(uow.now, "orders.items_cancelled", why[0], why[1] or None)
        await self._store.save(uow, record)
        remaining = domain.remaining(record.packages, record.total.currency)
        for package, lines, amount in cancelled:
            uow.emit(happenings.cancelled(record, package, lines, amount, remaining))
        for package in delivered:
            uow.emit(happenings.delivered(record, package))


def check_cancellable(record: domain.Order, items: list[CancelItem] | None) -> None:
    """Of an order that is pending. :raises Conflict: ``orders.not_cancellable``."""
    if record.imported:
        raise Conflict("orders.not_cancellable", "An imported order is history.")
    if units_of(record.packages, items) != domain.units_left(record.packages):
        raise Conflict("orders.not_cancellable", "A pending order is cancelled as a whole.")


def units_of(packages: Sequence[domain.Package], items: list[CancelItem] | None) -> domain.Units:
    """What the caller named, equal items added up; nothing named is all that is left."""
    if items is None:
        return domain.units_left(packages)
    known = {line.id for package in packages for line in package.items}
    units: domain.Units = {}
    for index, item in enumerate(items):
        if item.item_id not in known:
            raise NotFound(f"There is no item {item.item_id} (items/{index}).")
        units[item.item_id] = units.get(item.item_id, 0) + item.quantity
    return units


def _possible(package: domain.Package, units: domain.Units) -> Money:
    try:
        return domain.cancel_units(package, units)
    except domain.NotPossible as error:
        raise Conflict("orders.not_cancellable", str(error)) from error
