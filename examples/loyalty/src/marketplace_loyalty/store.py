"""The store port of loyalty."""

from __future__ import annotations

from abc import ABC, abstractmethod

from marketplace_core.ports import UnitOfWork
from marketplace_core.values import Money
from marketplace_loyalty.domain import Purchase

__all__ = ["LoyaltyStore"]


class LoyaltyStore(ABC):
    @abstractmethod
    async def open(self, uow: UnitOfWork, order_id: str) -> Purchase:
        """The order's purchase, made if there is none, held until the unit ends."""

    @abstractmethod
    async def lock(self, uow: UnitOfWork, order_id: str) -> Purchase | None:
        """That there is, held until the unit ends."""

    @abstractmethod
    async def save(self, uow: UnitOfWork, order_id: str, purchase: Purchase) -> None: ...

    @abstractmethod
    async def add(self, uow: UnitOfWork, account_id: str, amount: Money) -> None:
        """To what the account has in that currency; a negative amount is taken away."""

    @abstractmethod
    async def spent(self, account_id: str) -> list[Money]:
        """What the account has, by currency."""
