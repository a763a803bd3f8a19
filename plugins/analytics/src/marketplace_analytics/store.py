"""The store port: rows of events by their type, and reports of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from msgspec import Struct

from marketplace_core.capabilities.analytics import Interval, ReportName

__all__ = ["AnalyticsStore", "Asked", "Unread"]


class Asked(Struct, frozen=True, kw_only=True):
    """A report of the days from ``since`` until ``until``, both included, as ``now`` is. ``interval``
    None: the whole time is one."""

    since: date
    until: date
    interval: Interval | None
    now: datetime
    currency: str | None = None
    seller_id: str | None = None


class Unread(Struct, frozen=True, kw_only=True):
    """An event that this release cannot read. Nothing of what it says is kept."""

    id: str
    type: str
    version: int
    error: str


class AnalyticsStore(ABC):
    """A projection, which is made anew of the events. Each counts once at read, however often it was written."""

    @abstractmethod
    async def write(self, rows: Mapping[str, bytes], unread: Sequence[Unread] = ()) -> None:
        """Rows by the type of the event, as JSON, each with a line end. They outlive a SIGKILL once this has returned. What is
        called meanwhile for others shares the next insert. :raises Unavailable: the store is away."""

    @abstractmethod
    async def report(self, name: ReportName, asked: Asked) -> list[dict[str, Any]]:
        """The rows of a report, in the order of their intervals, with ``at``, the first day of each."""

    @abstractmethod
    async def as_of(self) -> datetime | None:
        """When the latest event happened."""

    @abstractmethod
    async def forgotten(self) -> set[str]:
        """The marks of persons who are forgotten."""

    @abstractmethod
    async def forget(self, mark: str) -> None:
        """Remember this mark, and take it out of every row."""

    @abstractmethod
    async def clear(self) -> None:
        """Let go of all events; who is forgotten stays so."""
