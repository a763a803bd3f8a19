"""The store port. ``tests/test_store.py`` is its contract, which each store passes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from marketplace_core.ports import UnitOfWork
from marketplace_wishlist.domain import Wish

__all__ = ["WishlistStore"]


class WishlistStore(ABC):
    @abstractmethod
    async def wishes(self, account_id: str) -> list[Wish]:
        """The newest first."""

    @abstractmethod
    async def find(self, account_id: str, product_id: str) -> Wish | None: ...

    @abstractmethod
    async def lock(self, uow: UnitOfWork, account_id: str) -> list[Wish]:
        """The account's wishes, to which nobody else adds until the unit ends."""

    @abstractmethod
    async def add(self, uow: UnitOfWork, account_id: str, wish: Wish) -> None:
        """One that the account does not have."""

    @abstractmethod
    async def remove(self, uow: UnitOfWork, account_id: str, product_id: str) -> None: ...

    @abstractmethod
    async def forget_product(self, uow: UnitOfWork, product_id: str) -> None:
        """Whoever wished for it."""
