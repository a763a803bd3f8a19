"""The store port of carts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from marketplace_core.ports import UnitOfWork
from marketplace_postgres_cart.domain import CartState, Line

__all__ = ["CartStore"]


class CartStore(ABC):
    """A cart that nobody has changed is empty and takes no room."""

    @abstractmethod
    async def get(self, cart_id: str) -> CartState: ...

    @abstractmethod
    async def lock(self, uow: UnitOfWork, cart_ids: Sequence[str]) -> list[CartState]:
        """These carts in the given order, each held until the unit ends."""

    @abstractmethod
    async def save(self, uow: UnitOfWork, cart: CartState) -> None:
        """One that is locked or new."""

    @abstractmethod
    async def claim_order(self, uow: UnitOfWork, order_id: str) -> bool:
        """Held until the unit ends. False: it was claimed before."""

    @abstractmethod
    async def take_order(self, uow: UnitOfWork, order_id: str) -> list[Line]:
        """What was noted of it, once. The order counts as claimed, also one that was not."""

    @abstractmethod
    async def note_order(self, uow: UnitOfWork, order_id: str, taken: Sequence[Line]) -> None:
        """Of one that is claimed: what it took out of its cart."""

    @abstractmethod
    async def expire(self, uow: UnitOfWork, before: datetime) -> None:
        """Forget carts and orders that nobody has changed since then."""
