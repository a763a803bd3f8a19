"""Units of work: one transaction of one service method, under an idempotency key once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

from msgspec import Struct

from marketplace_core.events import Envelope, Event

__all__ = ["Claim", "HasRoles", "HasUnits", "KeyParked", "UnitOfWork", "Units", "qualified"]

T = TypeVar("T")


def qualified(plugin: str, method: str) -> str:
    """What a plugin's method is called wherever something is kept of it: in the inbox, among parked keys, in claims.

    ``plugin`` is the name that the plugin declares, wherever its code stands.
    """
    return f"{plugin}.{method}"


class UnitOfWork(ABC):
    """One transaction of one service method. Events and jobs leave with it or not at all."""

    @property
    @abstractmethod
    def now(self) -> datetime:
        """The deployment's time at which the unit began; the same at each reading."""

    @abstractmethod
    def emit(self, event: Event, at: datetime | None = None) -> None:
        """Publish ``event`` once this unit has committed: at least once, in order per aggregate.

        :raises ValueError: the plugin does not declare that it emits on the event's topic.

        ``at``: when it happened, where that was not now, as in an import of history.
        """

    @abstractmethod
    def enqueue(self, job: str, args: Struct | None = None) -> None:
        """Hand ``job`` to the worker once this unit has committed. It may run more than once."""

    @abstractmethod
    def after_commit(self, act: Callable[[], Awaitable[None]]) -> None:
        """Await ``act`` between the commit and the answer. A crash in between loses it: what must happen is an event."""


class Claim(Struct, frozen=True):
    """An idempotency key being used: whose it is, for which of the plugin's methods, over which arguments."""

    scope: str
    method: str
    key: str
    digest: bytes


class KeyParked(Exception):
    """The handler's key waits behind an event that keeps failing; this event must wait there too."""


class Units(ABC):
    """Makes units of work on one plugin's store.

    Several plugins may have theirs on one store: what is kept of a method bears the name that :meth:`qualified` gives.
    """

    def __init__(self, plugin: str, topics: frozenset[str] | None = None) -> None:
        """``plugin``: the name that the plugin declares; ``topics``: those that it emits on, None where nobody minds."""
        self.plugin = plugin
        self.topics = topics

    def check_topic(self, event: Event | type[Event]) -> None:
        """:raises ValueError: the plugin does not declare that it emits on the event's topic."""
        if self.topics is not None and event.topic not in self.topics:
            raise ValueError(
                f"the plugin {self.plugin!r} emits {event.type!r} and does not declare it:"
                f" name the topic {event.topic!r} in info().emits"
            )

    def qualified(self, method: str) -> str:
        return qualified(self.plugin, method)

    @abstractmethod
    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """One transaction around ``work``."""

    @abstractmethod
    async def once(self, claim: Claim, answer: type[T], work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Like :meth:`run`, at most once per claim: a repeat gets the stored answer, or the stored refusal.

        :raises MarketplaceError: ``idempotency.in_flight`` while another call holds the key,
            ``idempotency_key_reused`` when it was used with other arguments.
        """

    @abstractmethod
    async def stored(self, claim: Claim, answer: type[T]) -> tuple[bool, T | None]:
        """Whether the claim has an answer already, and which. A stored refusal is raised."""

    @abstractmethod
    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        """Run ``work`` unless the plugin's method ``handler`` has seen this event, or a later one of its aggregate, before.

        Sequences of two writers are not compared: each has its own. What bears no writer is of whoever else wrote the key.

        :returns: whether it was applied. :raises KeyParked: the aggregate waits behind a failed event.
        """


class HasUnits(Protocol):
    """A service whose methods are commands or handlers."""

    @property
    def units(self) -> Units: ...


class HasRoles(HasUnits, Protocol):
    """A service of several stores, some of whose handlers write to another than its own."""

    def units_of(self, role: str) -> Units: ...
