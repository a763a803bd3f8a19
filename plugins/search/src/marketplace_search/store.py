"""The store port: an index of products and sellers. It is a projection, and can be built anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import Literal

from msgspec import Struct

from marketplace_core.capabilities.catalog import ProductPage, ProductStatus, Rating
from marketplace_core.capabilities.search import FacetValue, Highlight, SearchedWords, SearchKind, SearchSort

__all__ = [
    "Building",
    "Change",
    "Counts",
    "Found",
    "Hit",
    "Page",
    "Record",
    "SearchStore",
    "Seller",
    "SignalStore",
    "Signals",
    "Stamp",
    "Stars",
    "StockCounts",
    "Wanted",
    "merged",
]


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────


class Stamp(Struct, frozen=True, array_like=True):
    """Which event told it: of two of one source the greater sequence is the later. Sequence 0: no event, but the catalogue."""

    sequence: int
    source: str = ""

    def replaces(self, other: Stamp | None) -> bool:
        return other is None or other.source != self.source or self.sequence > other.sequence


class Page(Struct, frozen=True):
    """A product after a change, with all that shoppers see of it; ``page`` is None where they do not see it."""

    id: str
    seller_id: str
    status: ProductStatus
    page: ProductPage | None
    stamp: Stamp


class StockCounts(Struct, frozen=True):
    """Units that can be bought, by variant; of those that are not named nothing has changed."""

    id: str
    available: Mapping[str, int]
    stamp: Stamp


class Stars(Struct, frozen=True):
    """A product's rating."""

    id: str
    rating: Rating
    stamp: Stamp


class Seller(Struct, frozen=True):
    """A shop. Of one that is not ``active`` nothing is found."""

    id: str
    name: str
    active: bool
    stamp: Stamp


Change = Page | StockCounts | Stars | Seller


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the index keeps of a product or a seller, whether it is found or not: a late event must not bring back what is
    gone. ``stamps``: by what it was told of (``page``, ``stock``, ``rating``), the latest that counted."""

    id: str
    kind: SearchKind
    seller_id: str = ""
    status: str = ""
    page: ProductPage | None = None
    rating: Rating | None = None
    name: str = ""
    active: bool = True
    available: dict[str, int] = {}
    stamps: dict[str, Stamp] = {}


def merged(record: Record | None, change: Change) -> Record | None:
    """The record after a change; None where it knows that already, or something later.

    Stock counts for itself: a page that comes late does not bring back an old number.
    """
    kind: SearchKind = "sellers" if isinstance(change, Seller) else "products"
    part = {Page: "page", StockCounts: "stock", Stars: "rating", Seller: "page"}[type(change)]
    known = record or Record(id=change.id, kind=kind)
    if not change.stamp.replaces(known.stamps.get(part)):
        return None
    stamps = {**known.stamps, part: change.stamp}
    if isinstance(change, Seller):
        return Record(id=change.id, kind=kind, name=change.name, active=change.active, stamps=stamps)
    if isinstance(change, Stars):
        return _product(known, stamps=stamps, rating=change.rating)
    if isinstance(change, StockCounts):
        return _product(known, stamps=stamps, available={**known.available, **change.available})
    available = known.available
    if change.page is not None and change.stamp.replaces(known.stamps.get("stock")):
        available = {variant.id: variant.available for variant in change.page.variants}
        stamps["stock"] = change.stamp
    return _product(
        known, stamps=stamps, seller_id=change.seller_id, status=change.status, page=change.page, available=available
    )


def _product(known: Record, **changed: object) -> Record:
    fields = {name: getattr(known, name) for name in Record.__struct_fields__}
    return Record(**{**fields, **changed})


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────


class Wanted(Struct, frozen=True, kw_only=True):
    """A search. ``categories``: the ids of those wanted with all below them, None for any. ``size`` hits are wanted beside
    ``shown``, the marks of those that the caller has had. ``facets``: whether counts are."""

    kind: SearchKind = "products"
    words: str = ""
    categories: frozenset[str] | None = None
    sellers: tuple[str, ...] = ()
    options: Mapping[str, Sequence[str]] = {}
    attributes: Mapping[str, Sequence[str]] = {}
    min_price: int | None = None
    max_price: int | None = None
    in_stock: bool = False
    sort: SearchSort = "relevance"
    size: int = 20
    shown: frozenset[int] = frozenset()
    facets: bool = True


class Hit(Struct, frozen=True, kw_only=True):
    """``mark``: a number of 40 bits that stands for the id. ``score``: from 0, the best of an answer the greatest. A product's
    ``record`` has its page with the stock and the rating of now, and its seller's name."""

    record: Record
    mark: int
    score: float
    highlight: Highlight | None = None


class Counts(Struct, frozen=True, kw_only=True):
    """How many would be found by each value, all other facets being as they are. ``prices``: by the lower end of a range 1, 2,
    5, 10, …"""

    categories: Mapping[str, int] = {}
    sellers: Sequence[FacetValue] = ()
    prices: Mapping[int, int] = {}
    options: Mapping[str, Sequence[FacetValue]] = {}
    attributes: Mapping[str, Sequence[FacetValue]] = {}


class Found(Struct, frozen=True, kw_only=True):
    """``total`` counts all, those that were shown too. ``more``: there are hits beyond these. ``corrected``, ``dropped``: what
    was made of the words to find something."""

    hits: list[Hit]
    total: int
    more: bool
    counts: Counts = Counts()
    corrected: str | None = None
    dropped: Sequence[str] = ()


class Building(ABC):
    """An index that is being built beside the one that is read."""

    @abstractmethod
    async def add(self, records: Sequence[ProductPage | Seller]) -> None:
        """As the catalogue, or the shops, have them now. Each is given the stamps that the read index knew when the building
        began, so that an event that came later wins."""

    @abstractmethod
    async def publish(self) -> int:
        """Take over what has changed since it began, and let it be read instead of the former one, at once and for everybody.
        Gives how many were taken over."""


class SearchStore(ABC):
    """An index. Several processes may read and write it."""

    # writing

    @abstractmethod
    async def put(self, changes: Sequence[Change]) -> None:
        """Apply each that is later than what is known of its subject. What this has returned for is found by every process at
        its next search, and outlives a SIGKILL. :raises Unavailable: somebody else writes for too long."""

    @abstractmethod
    def building(self) -> AbstractAsyncContextManager[Building]:
        """One at a time. Left without :meth:`Building.publish`, or killed, it changes nothing.

        :raises Unavailable: another one goes on.
        """

    @abstractmethod
    async def stale(self) -> bool:
        """Whether it must be built before it is of use: it is not there, or was made by other settings."""

    # reading

    @abstractmethod
    async def search(self, wanted: Wanted) -> Found:
        """What shoppers see, of active sellers.

        Every word must be found, as it is or as another form of it; the last one may be the beginning of one. Where nothing has
        all of them: misspelt, and then without the rarest of them. Relevant is what has rare words in heavy places.
        """

    @abstractmethod
    async def suggest(self, words: str, kind: SearchKind, size: int) -> list[tuple[str, str]]:
        """``(id, title)`` of what has all words in its title, the last perhaps as its beginning; misspelt where none has."""

    @abstractmethod
    def hidden(self, seller_id: str) -> AsyncIterator[list[str]]:
        """Ids of this seller's products that are published and whose pages are not known, in batches."""

    @abstractmethod
    async def close(self) -> None: ...


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────


class Signals(Struct, frozen=True, kw_only=True):
    """What happened with some words on a day: how often they were searched by, how many results the latest had, how many clicks
    at positions of which sum; ``nothing`` counts searches without result. ``people``: marks of 16 bits, which tell two people
    apart and nobody who they are."""

    query: str
    day: date
    searches: int = 0
    results: int = 0
    clicks: int = 0
    positions: int = 0
    people: frozenset[int] = frozenset()
    nothing: int = 0


class SignalStore(ABC):
    """Counts of searches, without persons."""

    @abstractmethod
    async def add(self, signals: Sequence[Signals], people: int) -> None:
        """Add up; marks are kept until there are ``people`` different ones, and never after."""

    @abstractmethod
    async def popular(self, prefix: str, size: int) -> list[str]:
        """What enough people have searched by, with results, and begins so; the most frequent first."""

    @abstractmethod
    async def totals(self, since: date, until: date) -> tuple[int, int, int]:
        """Searches, those without result, and clicks."""

    @abstractmethod
    async def top(self, since: date, until: date, size: int, which: Literal["all", "nothing"]) -> list[SearchedWords]: ...

    @abstractmethod
    async def forget(self, before: date) -> None: ...
