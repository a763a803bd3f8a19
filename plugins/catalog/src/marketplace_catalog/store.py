"""The store port of the catalogue: what is kept, and what a store guarantees by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from marketplace_catalog.domain import CategoryNode, StockLine
from marketplace_core.capabilities.catalog import (
    Card,
    CategoryRef,
    ProductPage,
    ProductQuery,
    ProductStatus,
    ReservedLine,
    SellerProductQuery,
    SellerRef,
    SellerState,
    VariantView,
)
from marketplace_core.pictures import PictureRecord
from marketplace_core.ports import UnitOfWork

__all__ = [
    "CatalogStore",
    "Frame",
    "Position",
    "ProductRecord",
    "Short",
    "StockChange",
    "StockRecord",
    "StockStore",
    "VariantRecord",
]

Position = tuple[Any, ...]
ReservationStatus = Literal["held", "expired", "committed", "released"]


class VariantRecord(Struct, kw_only=True):
    """``reserved`` and ``allocated`` are read, never written, with the product: only stock methods change them."""

    id: str
    sku: str
    title: str
    options: dict[str, str]
    price: int | None
    compare_at: int | None
    currency: str | None
    on_hand: int
    reserved: int = 0
    allocated: int = 0

    @property
    def promised(self) -> int:
        """What the shelf must hold at least."""
        return self.reserved + self.allocated

    @property
    def available(self) -> int:
        return self.on_hand - self.promised


class ProductRecord(Struct, kw_only=True):
    """A whole product with its variants in order: read under a lock, changed, saved.

    ``counted_in`` is read, never written: the category among whose published products it was. ``revision`` counts the changes
    of what is judged of it.
    """

    id: str
    seller_id: str
    import_key: str | None = None
    slug: str
    title: str
    description: str
    category_id: str | None
    attributes: dict[str, Any]
    images: list[PictureRecord]
    status: ProductStatus
    reason_code: str | None
    rating_average: float | None = None
    rating_count: int = 0
    rating_score: float | None = None
    digest: str | None = None
    created_at: datetime
    updated_at: datetime
    variants: list[VariantRecord]
    revision: int = 1
    counted_in: str | None = None

    @property
    def recounted(self) -> bool:
        """Whether a category has one more now, or one less."""
        return self.counted_in != (self.category_id if self.status == "published" else None)


class Frame(Struct, frozen=True):
    """What stands around a product: its seller, and its category if that exists."""

    seller: SellerRef
    active: bool
    category: CategoryRef | None


class StockRecord(Struct):
    """A variant's stock under a lock."""

    id: str
    product_id: str
    slug: str
    sku: str
    on_hand: int
    reserved: int
    allocated: int

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved - self.allocated


class StockChange(Struct, frozen=True):
    """Units that can be bought of a variant after a change, and before it."""

    product_id: str
    slug: str
    variant_id: str
    available: int
    before: int


class Short(Struct, frozen=True):
    """A line that cannot be had: its index and the units that could."""

    index: int
    available: int


class CatalogStore(ABC):
    """Products, categories and what is known of sellers."""

    # for shoppers: published products of active sellers only

    @abstractmethod
    async def list_cards(self, query: ProductQuery, after: Position | None) -> list[tuple[Card, Position]]:
        """One more than a page, in the query's sort, with each card's sort key."""

    @abstractmethod
    async def find_page(self, id_or_slug: str) -> ProductPage | None: ...

    @abstractmethod
    async def scan_pages(self, after: str, limit: int) -> list[ProductPage]:
        """In the order of ids, from behind ``after``."""

    @abstractmethod
    async def get_pages(self, ids: Sequence[str]) -> list[ProductPage]: ...

    @abstractmethod
    async def find_moved(self, slug: str) -> str | None:
        """The slug that a former slug's product has now, if shoppers see it."""

    @abstractmethod
    async def slugs(self, uow: UnitOfWork, product_id: str) -> list[str]:
        """The slug of a product, and those that it had."""

    @abstractmethod
    async def list_categories(self) -> list[CategoryNode]: ...

    @abstractmethod
    async def get_variants(self, ids: Sequence[str]) -> list[VariantView]:
        """Those that exist, in any state."""

    # for sellers

    @abstractmethod
    async def get_product(self, seller_id: str, product_id: str) -> ProductRecord | None: ...

    @abstractmethod
    async def list_products(
        self, seller_id: str, query: SellerProductQuery, after: Position | None
    ) -> list[tuple[ProductRecord, Position]]: ...

    @abstractmethod
    async def lock_product(self, uow: UnitOfWork, seller_id: str | None, product_id: str) -> ProductRecord | None:
        """The product and its stock, held until the unit ends; None: of whichever seller."""

    @abstractmethod
    async def lock_products_of(self, uow: UnitOfWork, seller_id: str, skus: Sequence[str]) -> list[ProductRecord]:
        """The products with these skus and all of their stock, held until the unit ends."""

    @abstractmethod
    async def frames(self, uow: UnitOfWork, around: Collection[tuple[str, str | None]]) -> dict[tuple[str, str | None], Frame]:
        """By ``(seller id, category id)``, of sellers that are known. The categories stay until the unit ends."""

    @abstractmethod
    async def save_products(self, uow: UnitOfWork, products: Sequence[ProductRecord]) -> None:
        """Insert or overwrite; a variant that the record lacks goes away. A former slug is kept as a redirect.

        :raises Conflict: ``catalog.sku_taken``. :raises Invalid: a combination of options twice.
        """

    @abstractmethod
    async def delete_product(self, uow: UnitOfWork, product_id: str) -> None: ...

    @abstractmethod
    async def digests(self, uow: UnitOfWork, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """What the last import of each said, by ``(seller id, import key)``."""

    @abstractmethod
    async def lock_imported(
        self, uow: UnitOfWork, keys: Sequence[tuple[str, str]], ids: Sequence[str] = ()
    ) -> list[ProductRecord]:
        """Products by ``(seller id, import key)`` or by id, held until the unit ends; one import at a time."""

    @abstractmethod
    async def taken_skus(
        self, uow: UnitOfWork, skus: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[str, str | None]]:
        """By ``(seller id, sku)`` of those that exist: their product's id, and its import key."""

    @abstractmethod
    async def referred_pictures(self, keys: Sequence[str]) -> set[str]:
        """Those of these keys that a product has, or that something ordered shows. The cost is that of the keys."""

    # categories and sellers

    @abstractmethod
    async def ensure_categories(self, uow: UnitOfWork, paths: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
        """Category ids by these paths of names; what is missing is made, as it is first written. Equal names are one, whatever
        their case and blanks.

        The cost is that of the paths, and not of the tree.
        """

    @abstractmethod
    async def add_category(self, uow: UnitOfWork, node: CategoryNode) -> bool:
        """False: its parent does not exist. :raises Invalid: its parent has one of that name, or is at the lowest level."""

    @abstractmethod
    async def lock_categories(self, uow: UnitOfWork) -> list[CategoryNode]:
        """All of them; the tree does not change until the unit ends."""

    @abstractmethod
    async def save_category(self, uow: UnitOfWork, node: CategoryNode) -> None:
        """Its name and its parent; what is below follows. :raises Invalid: its parent has one of that name."""

    @abstractmethod
    async def delete_category(self, uow: UnitOfWork, category_id: str) -> bool:
        """False: something is in it."""

    @abstractmethod
    async def save_sellers(self, uow: UnitOfWork, states: Sequence[SellerState]) -> None:
        """Each unless a later version of it is known."""


class StockStore(ABC):
    """Units of variants. Safe for any caller: what is available never goes below zero, whoever asks at once."""

    @abstractmethod
    async def lock_skus(self, uow: UnitOfWork, seller_id: str, skus: Sequence[str]) -> dict[str, StockRecord]:
        """Stock by sku, held until the unit ends."""

    @abstractmethod
    async def save_on_hand(self, uow: UnitOfWork, records: Sequence[StockRecord]) -> None: ...

    @abstractmethod
    async def reserve(
        self, uow: UnitOfWork, key: str, lines: Sequence[StockLine], expires_at: datetime, instead_of: str | None = None
    ) -> tuple[list[ReservedLine], datetime, list[StockChange]] | list[Short]:
        """Hold all lines or none, in one locking order; equal variants add up.

        The same ``key`` gives what it gave, and changes nothing: also when it was expired, committed or released since.
        What ``instead_of`` holds is taken over: that reservation is as one that has expired.
        """

    @abstractmethod
    async def extend(self, uow: UnitOfWork, key: str, until: datetime) -> None:
        """Of what is still held."""

    @abstractmethod
    async def release(self, uow: UnitOfWork, key: str) -> list[StockChange]:
        """Give back what is held. An unknown key is remembered, so that a late ``reserve`` by it holds nothing.

        What it took over is held again by the reservation that it came from, until that one's own end, if it can be had.
        """

    @abstractmethod
    async def withdraw(self, uow: UnitOfWork, key: str) -> list[StockChange] | None:
        """Give back what is held, to nobody in particular. None: it is committed, and stays so."""

    @abstractmethod
    async def commit(self, uow: UnitOfWork, key: str) -> list[StockChange] | list[Short] | None:
        """Allocate what is held; of an expired one take it anew. None: nothing was reserved, or it was given back."""

    @abstractmethod
    async def restock(self, uow: UnitOfWork, key: str) -> list[StockChange]:
        """Give back what is held or allocated. An unknown key is remembered likewise."""

    @abstractmethod
    async def expire(self, uow: UnitOfWork, limit: int) -> list[StockChange]:
        """Give back what was held longer than agreed; at most ``limit`` reservations."""

    @abstractmethod
    async def forget(self, uow: UnitOfWork, before: datetime, limit: int, *, committed: bool) -> int:
        """Delete reservations whose end is before that: committed ones, or those given back or expired. Gives how many."""

    @abstractmethod
    async def deallocate(self, uow: UnitOfWork, lines: Sequence[StockLine], *, shipped: bool) -> list[StockChange]:
        """Allocated units leave: shipped ones from the shelf too, cancelled ones become available."""
