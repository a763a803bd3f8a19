"""The store ports of moderation: what is judged and was decided, and what texts, pictures and prices are like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from marketplace_core.capabilities.moderation import Author, QueueQuery
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import PageQuery
from marketplace_moderation.domain import Item

__all__ = ["Entry", "LikenessStore", "ModerationStore", "Picture", "Position", "Text", "Waiting"]

Position = tuple[Any, ...]


class Entry(Struct, frozen=True):
    """Of the audit: what was written, and the hash of it and of the hash before. ``number`` counts from 1."""

    number: int
    entry: str
    hash: str


class Waiting(Struct, frozen=True):
    """``seconds``: how long the oldest has waited."""

    open: int
    appealed: int
    seconds: float


class ModerationStore(ABC):
    """Items, and the audit of them. What is written, is written within a unit of work; what is read without one is what is
    committed."""

    # the audit

    @abstractmethod
    async def lock_audit(self, uow: UnitOfWork) -> Entry:
        """The last entry (number 0, hash "": there is none), held until the unit ends: who decides anything takes turns."""

    @abstractmethod
    async def add_entries(self, uow: UnitOfWork, entries: Sequence[Entry]) -> None:
        """In order, after the one that :meth:`lock_audit` gave. Nothing changes or deletes an entry: the store refuses it."""

    @abstractmethod
    async def entries(self, after: int, limit: int) -> list[Entry]: ...

    @abstractmethod
    async def head(self) -> Entry:
        """The last entry, as it was noted beside the entries when it was added."""

    # items

    @abstractmethod
    async def latest(self, uow: UnitOfWork, kind: str, subject_id: str) -> Item | None:
        """Of the latest version that is known of some content, held until the unit ends."""

    @abstractmethod
    async def get(self, item_id: str) -> Item | None: ...

    @abstractmethod
    async def lock(self, uow: UnitOfWork, item_ids: Sequence[str]) -> Mapping[str, Item]:
        """Those that there are, held until the unit ends."""

    @abstractmethod
    async def save(self, uow: UnitOfWork, items: Sequence[Item]) -> None:
        """Insert or overwrite."""

    @abstractmethod
    async def list_queue(self, query: QueueQuery, after: Position | None, now: datetime) -> list[tuple[Item, Position]]:
        """One more than a page, what has waited longest first, each with its sort key; by the status that it has ``now``."""

    @abstractmethod
    async def list_own(self, author: Author, query: PageQuery, after: Position | None) -> list[tuple[Item, Position]]:
        """Likewise an author's, the latest first, without what is superseded."""

    @abstractmethod
    async def waiting(self, now: datetime) -> Waiting: ...


class Text(Struct, frozen=True):
    """``signature`` is of its parts; those that share many share one of the ``bands`` at least. ``owner`` is whose it is."""

    subject: str
    owner: str
    signature: bytes
    bands: list[int]


class Picture(Struct, frozen=True):
    """``hash`` is perceptual, 64 bits; pictures that differ in at most three of them share one of the ``bands``."""

    subject: str
    key: str
    owner: str
    hash: int
    bands: list[int]


class LikenessStore(ABC):
    """What was submitted before, as far as something new is compared with it. What a comparison costs does not grow with it."""

    @abstractmethod
    async def texts_like(self, uow: UnitOfWork, text: Text) -> list[Text]:
        """Those of other owners and of the same kind that share a band, at most 50."""

    @abstractmethod
    async def pictures_like(self, uow: UnitOfWork, pictures: Sequence[Picture]) -> list[Picture]:
        """Likewise, for all of them together."""

    @abstractmethod
    async def put(self, uow: UnitOfWork, subject: str, text: Text | None, pictures: Sequence[Picture]) -> None:
        """In the place of what was put of the subject before."""

    @abstractmethod
    async def steps(self, uow: UnitOfWork, category_id: str, currency: str) -> Mapping[int, int]:
        """How many prices there are of each step."""

    @abstractmethod
    async def put_price(self, uow: UnitOfWork, subject: str, category_id: str, currency: str, step: int) -> None:
        """Count a subject's price, in the place of the one that was counted before."""

    @abstractmethod
    async def model(self) -> tuple[int, bytes] | None:
        """What the classifier has learnt last, and its number."""

    @abstractmethod
    async def model_number(self) -> int | None: ...

    @abstractmethod
    async def put_model(self, uow: UnitOfWork, body: bytes) -> None: ...
