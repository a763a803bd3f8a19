"""Keys whose events wait: for a person, or for somebody who is away."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from marketplace_core.events import Envelope

__all__ = ["Parked", "Parking", "Subscription"]


class Subscription(Struct, frozen=True):
    """A handler and the event types it is for. ``name`` is ``<plugin>.<method>``, the handler's name in the inbox."""

    name: str
    types: tuple[str, ...]
    apply: Callable[[Envelope], Awaitable[bool]]

    @property
    def plugin(self) -> str:
        return self.name.split(".", 1)[0]


class Parked(Struct, frozen=True):
    """An event that its handler could not apply. ``waiting`` events of the same key stand behind it.

    ``retry_at``: when it is applied again by itself, where somebody was away; None: it waits for a person.
    """

    id: str
    handler: str
    key: str
    type: str
    sequence: int
    error: str
    attempts: int
    at: datetime
    waiting: int
    retry_at: datetime | None = None


class Parking(ABC):
    """Keys that wait, for a person or for somebody who is away, in the same store as the handler's inbox."""

    @abstractmethod
    async def park(self, handler: str, envelope: Envelope, error: str, attempts: int) -> None:
        """Let the key wait for a person, this event first."""

    @abstractmethod
    async def defer(self, handler: str, envelope: Envelope, error: str) -> None:
        """Let the key wait for its next try, this event first unless earlier ones wait; that one then counts.

        The pauses between the tries of a key grow.
        """

    @abstractmethod
    async def backlog(self, handlers: Sequence[str]) -> int:
        """How many keys will go on by themselves."""

    @abstractmethod
    async def count(self, handlers: Sequence[str]) -> dict[tuple[str, str], int]:
        """Keys that wait, by handler and whether they are ``parked`` or ``deferred``."""

    @abstractmethod
    async def append(self, handler: str, envelope: Envelope) -> bool:
        """Queue behind the parked one. False: the key is free again, so apply it now."""

    @abstractmethod
    async def list(self, handlers: Sequence[str]) -> list[Parked]: ...

    @abstractmethod
    async def request(self, id_: str, *, drop: bool) -> bool:
        """Ask the worker to replay the event, or to drop it, and then all behind it. False: no such event."""

    @abstractmethod
    async def release(self, handlers: Mapping[str, Subscription]) -> int:
        """Carry out what was requested and try what is due, in order per key; gives how many events went on.

        A key for which somebody is still away waits for its next try, and no other key waits for it.
        """
