"""Keys whose events wait: for a person, or for somebody who is away."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from marketplace_core.events import Envelope
from marketplace_core.ports.bus import Message, RawMessage

__all__ = ["Parked", "Parking", "Reader", "Subscription"]


class Subscription(Struct, frozen=True):
    """A handler and the event types it is for. ``name`` is ``<plugin>.<method>``, the handler's name in the inbox."""

    name: str
    types: tuple[str, ...]
    apply: Callable[[Envelope], Awaitable[bool]]

    @property
    def plugin(self) -> str:
        return self.name.split(".", 1)[0]


#: What takes a message that could not be read, once a person has asked for it to be tried again.
Reader = Callable[[RawMessage], Awaitable[None]]


_NONE: Mapping[str, Reader] = {}


class Parked(Struct, frozen=True):
    """An event that its handler could not apply. ``waiting`` events of the same key stand behind it.

    Of a message that could not be read ``handler`` is the group that it was for, ``key`` its topic and partition; it has no
    ``type``, and nothing waits behind it.

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
    """Keys that wait, for a person or for somebody who is away, in the same store as the handler's inbox.

    Messages are kept as they came, so that one that this release cannot read is there for the next.
    """

    @abstractmethod
    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        """Let the key wait for a person, this event first. Nothing waits for one that was applied or dropped already."""

    @abstractmethod
    async def defer(self, handler: str, message: Message, error: str) -> None:
        """Let the key wait for its next try, this event first unless earlier ones wait; that one then counts.

        The pauses between the tries of a key grow.
        """

    @abstractmethod
    async def backlog(self, handlers: Sequence[str]) -> int:
        """How many keys will go on by themselves."""

    @abstractmethod
    async def count(self, names: Sequence[str]) -> dict[tuple[str, str], int]:
        """Keys that wait, by handler and whether they are ``parked`` or ``deferred``; and ``unreadable`` messages by group."""

    @abstractmethod
    async def append(self, handler: str, message: Message) -> bool:
        """Queue behind the parked one. False: the key is free again, so apply it now."""

    @abstractmethod
    async def keep(self, group: str, message: RawMessage) -> None:
        """Keep for a person what nobody of ``group`` could read, with its bytes; the same bytes once."""

    @abstractmethod
    async def seen(self, handler: str, event: Message | Envelope) -> int:
        """How far the handler has come with the event's key: the sequence of its last event, 0 where there is none."""

    @abstractmethod
    async def supersede(self, handler: str, event: Envelope) -> None:
        """The handler has applied it, in a store without transactions: note so, unless a later one of its key was.

        What waits for it of the same key and writer, up to this event, has become superfluous, and is gone.
        """

    @abstractmethod
    async def list(self, names: Sequence[str]) -> list[Parked]:
        """The first of each key that waits for these handlers, and what was kept for these groups."""

    @abstractmethod
    async def request(self, id_: str, *, drop: bool) -> bool:
        """Ask the worker to replay the event, or to drop it, and then all behind it. False: no such event."""

    @abstractmethod
    async def wait(self, names: Sequence[str], seconds: float) -> None:
        """Until something that waits for these may go on, by itself or because a person asked; at most so long.

        It may end early. :raises Unavailable:
        """

    @abstractmethod
    async def release(self, handlers: Mapping[str, Subscription], readers: Mapping[str, Reader] = _NONE) -> int:
        """Carry out what was requested and try what is due, in order per key; gives how many events went on.

        ``readers`` by group: one that raises has not read it, which stays, with what it said.

        A key for which somebody is still away waits for its next try, and no other key waits for it.
        """
