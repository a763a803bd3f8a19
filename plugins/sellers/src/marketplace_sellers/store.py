"""The store port of sellers: what is kept, and what a store guarantees by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from marketplace_core.capabilities.sellers import ApplicationQuery, Membership, SellerQuery
from marketplace_core.pictures import PictureRecord
from marketplace_core.ports import UnitOfWork
from marketplace_sellers.domain import Application, Rate, Shop

__all__ = ["Position", "SellersStore"]

Position = tuple[str, str]


class SellersStore(ABC):
    """Applications, shops with their members and terms."""

    # applications

    @abstractmethod
    async def add_application(self, uow: UnitOfWork, application: Application) -> None:
        """:raises Conflict: ``sellers.wrong_state``: the account has an open one."""

    @abstractmethod
    async def find_application(self, account_id: str) -> Application | None:
        """The account's newest."""

    @abstractmethod
    async def lock_application_of(self, uow: UnitOfWork, account_id: str) -> Application | None:
        """The account's newest, held until the unit ends."""

    @abstractmethod
    async def lock_application(self, uow: UnitOfWork, application_id: str) -> Application | None: ...

    @abstractmethod
    async def save_application(self, uow: UnitOfWork, application: Application) -> None: ...

    @abstractmethod
    async def list_applications(self, query: ApplicationQuery, after: Position | None) -> list[tuple[Application, Position]]:
        """One more than a page, the newest first, each with its sort key."""

    # shops

    @abstractmethod
    async def add_shop(self, uow: UnitOfWork, shop: Shop, owner_id: str) -> None:
        """:raises Conflict: ``sellers.wrong_state``: another shop has the name, or the owner has a shop."""

    @abstractmethod
    async def add_missing(self, uow: UnitOfWork, shops: Sequence[Shop]) -> set[str]:
        """Add those whose name no shop has; gives the ids of what was added. Equal calls at once add a name once."""

    @abstractmethod
    async def add_owner(self, uow: UnitOfWork, seller_id: str, account_id: str) -> bool:
        """False: the account has a shop."""

    @abstractmethod
    async def get_shops(self, ids: Sequence[str]) -> list[Shop]:
        """Those that exist, in no particular order."""

    @abstractmethod
    async def find_shops(self, uow: UnitOfWork, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Shop]:
        """Shops by id and by the key of their name."""

    @abstractmethod
    async def is_taken(self, uow: UnitOfWork, key: str) -> bool:
        """Whether a shop that somebody is in, or that is not active, has a name of this key."""

    @abstractmethod
    async def find_nobodys(self, keys: Sequence[str]) -> dict[str, str]:
        """The ids of active shops that nobody is in, by the keys of their names."""

    @abstractmethod
    async def lock_nobodys(self, uow: UnitOfWork, key: str) -> Shop | None:
        """One of them, held until the unit ends."""

    @abstractmethod
    async def lock_shop(self, uow: UnitOfWork, seller_id: str) -> Shop | None:
        """The shop, held until the unit ends."""

    @abstractmethod
    async def save_shop(self, uow: UnitOfWork, shop: Shop) -> None:
        """Name, description, country, status, reason and version. :raises Invalid: another shop has the name."""

    @abstractmethod
    async def list_shops(self, query: SellerQuery, after: Position | None) -> list[tuple[Shop, Position]]:
        """One more than a page, the newest first, each with its sort key."""

    @abstractmethod
    async def get_membership(self, account_id: str) -> Membership | None: ...

    @abstractmethod
    async def has_shop(self, uow: UnitOfWork, account_id: str) -> bool: ...

    @abstractmethod
    async def get_rates(self, seller_ids: Sequence[str], uow: UnitOfWork | None = None) -> list[Rate]:
        """Commissions of these sellers and of all, whenever they are valid; read within a unit where there is one."""

    @abstractmethod
    async def save_rating(self, uow: UnitOfWork, seller_id: str, average: float | None, count: int) -> None:
        """What the reviews of a shop's products come to."""

    # logos

    @abstractmethod
    async def get_logo(self, logo_id: str, uow: UnitOfWork | None = None) -> PictureRecord | None:
        """Read within a unit where there is one; who writes it holds its shop."""

    @abstractmethod
    async def save_logo(self, uow: UnitOfWork, seller_id: str, logo: PictureRecord) -> None:
        """Insert or overwrite. The last that is ready is shown."""

    @abstractmethod
    async def delete_logos(self, uow: UnitOfWork, seller_id: str, before: str) -> None:
        """Those of a shop that were sent before that one."""

    @abstractmethod
    async def referred_pictures(self, keys: Sequence[str]) -> set[str]:
        """Those of these keys that a shop has. The cost is that of the keys."""

    # what others know, and what is known of others

    @abstractmethod
    async def untold(self, ids: Sequence[str]) -> list[Shop]:
        """Those of them that the catalogue is not known to have in their last version."""

    @abstractmethod
    async def mark_told(self, uow: UnitOfWork, versions: Mapping[str, int]) -> None:
        """The catalogue has these versions by seller id."""

    @abstractmethod
    async def set_published(self, uow: UnitOfWork, product_id: str, seller_id: str, published: bool) -> bool:
        """Count a product of a shop, or not. False: it was so before."""
