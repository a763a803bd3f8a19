"""The store port of users: what is kept, and what a store guarantees by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any

from msgspec import Struct

from marketplace_core.capabilities.users import SavedAddress
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import PageQuery

__all__ = ["ProfileRecord", "UsersStore"]


class ProfileRecord(Struct, frozen=True, kw_only=True):
    account_id: str
    email: str
    name: str
    locale: str | None = None
    preferences: dict[str, Any] = {}
    created_at: datetime


class UsersStore(ABC):
    """Profiles by account, and addresses in the order in which they were added."""

    @abstractmethod
    async def find_profile(self, account_id: str) -> ProfileRecord | None: ...

    @abstractmethod
    async def add_profile(self, uow: UnitOfWork, profile: ProfileRecord) -> None:
        """Unless the account has one."""

    @abstractmethod
    async def lock_profile(self, uow: UnitOfWork, account_id: str) -> ProfileRecord | None:
        """The profile, held until the unit ends."""

    @abstractmethod
    async def save_profile(self, uow: UnitOfWork, profile: ProfileRecord) -> ProfileRecord:
        """Gives it as it will be read: a store may order the keys of preferences."""

    @abstractmethod
    async def list_addresses(self, account_id: str, page: PageQuery, after: int | None) -> list[tuple[SavedAddress, int]]:
        """One more than a page, the newest first, each with its position."""

    @abstractmethod
    async def find_address(self, account_id: str, address_id: str) -> SavedAddress | None: ...

    @abstractmethod
    async def add_address(self, uow: UnitOfWork, account_id: str, address: SavedAddress, most: int) -> bool:
        """False: the account has ``most`` already, also when several are added at once."""

    @abstractmethod
    async def lock_address(self, uow: UnitOfWork, account_id: str, address_id: str) -> SavedAddress | None:
        """The address, held until the unit ends."""

    @abstractmethod
    async def save_address(self, uow: UnitOfWork, address: SavedAddress) -> None: ...

    @abstractmethod
    async def delete_address(self, uow: UnitOfWork, address_id: str) -> None: ...
