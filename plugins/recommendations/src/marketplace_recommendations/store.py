"""What recommendations keep: products as shoppers see them, signals, people of whom nothing may be known, the trained model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from marketplace_core.capabilities.catalog import Card
from marketplace_core.ports import UnitOfWork
from marketplace_recommendations.domain import Alike, Neighbour, Placed

__all__ = [
    "Changes",
    "Features",
    "Kept",
    "Known",
    "ProductFact",
    "RecommendationsStore",
    "SellerFact",
    "Shelf",
    "SignalRow",
    "Trail",
]


class ProductFact(Struct, kw_only=True):
    """A product after its last event. Without a ``card`` only ``available`` is new, of some variants."""

    id: str
    sequence: int
    writer: str
    at: datetime
    available: dict[str, int]
    card: str | None = None
    seller_id: str = ""
    category_id: str | None = None
    category_path: list[str] = []
    title: str = ""
    shown: bool = True


class SellerFact(Struct, frozen=True):
    id: str
    active: bool
    version: int


class SignalRow(Struct, frozen=True, kw_only=True):
    """Of a product, or of one of its variants. ``heat``: see the domain; None for what does not count."""

    event_id: str
    position: int
    person: str | None
    product_id: str | None
    variant_id: str | None = None
    kind: str
    source: str | None = None
    at: datetime
    heat: float | None = None


class Changes(Struct):
    """What a batch of events says, folded: each product once."""

    products: list[ProductFact] = []
    sellers: list[SellerFact] = []
    signals: list[SignalRow] = []

    @property
    def of_shelves(self) -> bool:
        return bool(self.products or self.sellers)


class Known(NamedTuple):
    """Of a person: whether nothing may be known; products acted on, the last first; those bought, and of these what people buy
    ``again``."""

    unknown: bool
    recent: list[str]
    bought: list[str]
    again: list[str]


class Shelf(NamedTuple):
    """A product in the way in which it is shown."""

    card: Card
    seller_id: str
    category_id: str | None


class Features(NamedTuple):
    """What is known of a product that nobody has touched."""

    id: str
    seller_id: str
    category_path: list[str]
    title: str


class Trail(NamedTuple):
    """What a person acted on in order, and of each whether it was bought."""

    person: str
    products: list[str]
    bought: list[bool]


class Kept(NamedTuple):
    """A row of the model. ``again``: people who have it buy it again."""

    product_id: str
    neighbours: Sequence[Neighbour]
    again: bool


class RecommendationsStore(ABC):
    # ── following events ─────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def follow(self, uow: UnitOfWork, changes: Changes) -> list[str]:
        """Write a batch; what is there already, or is older than that, changes nothing.

        Gives those of its products and of its sellers' products that cannot be bought now. Signals of a person of whom nothing
        may be known are nobody's; those of variants of which no product is known are dropped.
        """

    @abstractmethod
    async def forget_old(self, uow: UnitOfWork, before: datetime, limit: int, *, purchases: bool) -> int:
        """Delete at most ``limit`` signals of before then, and say how many."""

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def is_unknown(self, person: str) -> bool:
        """Whether nothing may be known of this person."""

    @abstractmethod
    async def make_unknown(self, uow: UnitOfWork, person: str, *, erased: bool) -> None:
        """Delete every signal of the person; nothing is kept from now on. Erased is for ever."""

    @abstractmethod
    async def make_known(self, uow: UnitOfWork, person: str) -> None:
        """From now on signals are kept again, unless the person was erased."""

    @abstractmethod
    async def known(self, person: str, limit: int) -> Known: ...

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def alike(self, ids: Sequence[str], limit: int) -> Alike:
        """Of each product what is like it, the best first; of one that the model does not know ``limit`` of its category."""

    @abstractmethod
    async def shelves(self, ids: Sequence[str]) -> dict[str, Shelf]:
        """Those that can be bought now."""

    @abstractmethod
    async def has_product(self, product_id: str) -> bool: ...

    @abstractmethod
    async def products_of(self, variant_ids: Sequence[str]) -> list[str]:
        """The products of these variants, in no particular order."""

    @abstractmethod
    async def popular(self, limit: int) -> list[Shelf]:
        """The most popular that can be bought now, for when there is no feed to read."""

    @abstractmethod
    async def placed(self) -> list[Placed]:
        """Every product that can be bought now."""

    # ── training ─────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def trails(self, after: str, limit: int) -> list[Trail]:
        """Of people after that one, by their ids: what they acted on, without what they were merely shown."""

    @abstractmethod
    async def features(self, after: str, limit: int) -> list[Features]:
        """Of products after that one, by their ids."""

    @abstractmethod
    async def add_neighbours(self, uow: UnitOfWork, generation: int, rows: Sequence[Kept]) -> None:
        """Rows of a model that nobody reads yet."""

    @abstractmethod
    async def publish_model(self, uow: UnitOfWork, generation: int, figures: Mapping[str, Any]) -> None:
        """Let it be read instead of the one before, which goes."""
