"""The store port of orders: whole orders, read under a lock, changed, saved."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, NamedTuple

from marketplace_core.capabilities.orders import AdminOrderQuery, OrderQuery, PackageQuery
from marketplace_core.ports import UnitOfWork
from marketplace_orders.domain import Order

__all__ = ["CartOrder", "Open", "OrderStore", "Position"]

Position = tuple[Any, ...]


class CartOrder(NamedTuple):
    """The latest order of a cart: the how manieth it is (0: there is none), and itself if it is open."""

    number: int
    open: Order | None


class Open(NamedTuple):
    """Orders that are pending, and the units that they hold."""

    orders: int
    units: int


class OrderStore(ABC):
    @abstractmethod
    async def insert(self, uow: UnitOfWork, order: Order, placed_from: str | None = None) -> bool:
        """A pending order. False: its cart has an open order, and nothing was done."""

    @abstractmethod
    async def last_of_cart(self, cart_id: str) -> CartOrder: ...

    @abstractmethod
    async def was_bought_since(self, uow: UnitOfWork, cart_id: str, number: int, but: str) -> bool:
        """Whether another order of the cart than ``but`` was confirmed that is later than its order of that number."""

    @abstractmethod
    async def follow_cart(self, uow: UnitOfWork, cart_id: str, into: str) -> None:
        """A cart has gone into another: its open order is that one's, unless that has one."""

    @abstractmethod
    async def lock_holders(self, uow: UnitOfWork, holders: Sequence[str]) -> None:
        """Until the unit ends, who places an order for one of these waits."""

    @abstractmethod
    async def open_of(self, uow: UnitOfWork | None, account_id: str | None, placed_from: str | None) -> list[Open]:
        """What is open of the account, and from the address; none of those that are None."""

    @abstractmethod
    async def insert_missing(self, uow: UnitOfWork, orders: Sequence[Order]) -> tuple[set[str], set[str]]:
        """Whole orders, as they are: the ids that were written, and those that were there before."""

    @abstractmethod
    async def lock(self, uow: UnitOfWork, order_id: str) -> Order | None:
        """The order, held until the unit ends."""

    @abstractmethod
    async def lock_by_package(self, uow: UnitOfWork, seller_id: str, package_id: str) -> Order | None: ...

    @abstractmethod
    async def save(self, uow: UnitOfWork, order: Order) -> None: ...

    @abstractmethod
    def changes(self, order_id: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """The event is set whenever the order was saved, in whichever process, from when it is entered until it is left.

        Now and then for nothing; the holder clears it. :raises Unavailable: upon entering.
        """

    @abstractmethod
    async def next_number(self, uow: UnitOfWork, series: str) -> int:
        """The next of a series; two units that take one wait for each other, so it is asked for last."""

    @abstractmethod
    async def get(self, ids: Sequence[str]) -> list[Order]: ...

    @abstractmethod
    async def list_of_account(self, account_id: str, query: OrderQuery, after: Position | None) -> list[Order]: ...

    @abstractmethod
    async def search(self, query: AdminOrderQuery, after: Position | None) -> list[Order]: ...

    @abstractmethod
    async def list_packages(
        self, seller_id: str, query: PackageQuery, after: Position | None
    ) -> list[tuple[Order, str, Position]]:
        """Order and package id, with the sort key."""

    @abstractmethod
    async def get_by_package(self, seller_id: str, package_id: str) -> Order | None: ...

    @abstractmethod
    async def get_by_shipment(self, seller_id: str, shipment_id: str) -> Order | None: ...

    @abstractmethod
    async def due_for_completion(self, now: datetime, limit: int) -> list[str]: ...
