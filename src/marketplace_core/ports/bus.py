"""The bus: topics of a fixed number of partitions by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

__all__ = ["Bus", "Consumer", "Delivery", "Message"]


class Message(Struct, frozen=True):
    """An envelope as the bus carries it: encoded JSON without its sequence, and the sequence beside it."""

    topic: str
    type: str
    key: str
    sequence: int
    envelope: str


class Delivery(Struct, frozen=True):
    topic: str
    partition: int
    position: str
    message: Message


class Bus(ABC):
    """Topics of a fixed number of partitions by key. Order is kept within a partition."""

    @abstractmethod
    async def publish(self, messages: Sequence[Message]) -> None:
        """Append in the given order; returns once every message is durable.

        A publish that raises has appended all of them, none, or a prefix of those of each key, and never a later one of a
        key without an earlier: a reader takes what comes first for the order. So it is made again as a whole.

        :raises Unavailable: the bus is away, or cannot take them now.
        """

    @abstractmethod
    def consume(self, group: str, topics: Sequence[str]) -> Consumer:
        """A consumer that shares the group's partitions with the group's other consumers."""

    async def trim(self) -> None:  # noqa: B027 - most need not
        """Drop what every declared group has acknowledged, where the server does not do so by itself."""

    @abstractmethod
    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        """How many messages are published and not yet acknowledged by each group, in all."""


class Consumer(ABC):
    @abstractmethod
    async def run(self, deliver: Callable[[Delivery], Awaitable[None]]) -> None:
        """Deliver for ever: one message at a time per partition; acknowledged when ``deliver`` has returned."""
