"""The bus: topics of a fixed number of partitions by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct

from marketplace_core.events import Envelope, Unreadable, decode_envelope

if TYPE_CHECKING:
    from marketplace_core.ports.servers import Step

__all__ = ["Bus", "Consumer", "Deliver", "DeliverBatch", "Delivery", "Message", "PutAside", "RawMessage"]


class Message(Struct, frozen=True, gc=False):
    """An envelope as the bus carries it: encoded JSON, and beside it the sequence and whose sequence that is."""

    topic: str
    type: str
    key: str
    sequence: int
    envelope: str
    writer: str = ""

    def open(self) -> Envelope:
        """:raises Unreadable: what it carries is no envelope, or that of another event."""
        envelope = decode_envelope(self.envelope, self.sequence, self.writer)
        if (envelope.type, envelope.key) != (self.type, self.key):
            raise Unreadable(f"the envelope is of {envelope.type} {envelope.key}")
        return envelope


class Delivery(Struct, frozen=True, gc=False):
    topic: str
    partition: int
    position: str
    message: Message


class RawMessage(Struct, frozen=True):
    """What stands in a topic and cannot be read. ``raw``: its bytes, as the adapter's :meth:`Bus.read` takes them."""

    topic: str
    partition: int
    raw: bytes
    error: str


Deliver = Callable[[Delivery], Awaitable[None]]
DeliverBatch = Callable[[Sequence[Delivery]], Awaitable[None]]
PutAside = Callable[[RawMessage], Awaitable[None]]


class Bus(ABC):
    """Topics of a fixed number of partitions by key. Order is kept within a partition."""

    #: Whether others than the deployment read it, too: then every event is published, whether the deployment hears it or not.
    public: ClassVar[bool] = False

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

    async def missing(self, topics: Collection[str]) -> Sequence[Step]:
        """What :meth:`prepare` would do. :raises MigrationError: see there."""
        return ()

    async def prepare(self, topics: Collection[str]) -> Sequence[Step]:
        """Make the topics, where the server does not by itself, and set them up as its settings say.

        :raises MigrationError: it cannot be done, or not now.
        """
        return ()

    async def trim(self) -> None:  # noqa: B027 - most need not
        """Drop what every declared group has acknowledged, where the server does not do so by itself."""

    @abstractmethod
    def read(self, topic: str, raw: bytes) -> Message:
        """The message of what a consumer could not read, after an upgrade perhaps. :raises Unreadable: still not."""

    @abstractmethod
    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        """How many messages are published and not yet acknowledged by each group, in all."""

    async def lags(self, groups: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """The same of each group for itself; where a server can be asked for all of them at once, it is."""
        return {group: await self.lag({group: topics}) for group, topics in groups.items()}


class Consumer(ABC):
    @abstractmethod
    async def run(self, deliver: Deliver, put_aside: PutAside | None = None) -> None:
        """Deliver for ever: one message at a time per partition; acknowledged when ``deliver`` has returned.

        ``put_aside`` is given what cannot be read, in its turn, and the partition goes on once it has returned.
        :raises Unreadable: there was such a one, and no ``put_aside``.
        """

    @abstractmethod
    async def run_batches(self, deliver: DeliverBatch, put_aside: PutAside | None = None, *, size: int, linger: float) -> None:
        """Deliver for ever: one batch at a time per partition, in order; acknowledged when ``deliver`` has returned.

        A batch is of one partition: at most ``size`` messages, or fewer once the first of them has waited ``linger`` seconds.
        Who is killed meanwhile, or loses the partition, leaves the whole batch to be delivered again, perhaps cut otherwise.
        What cannot be read ends a batch, and is put aside after that as :meth:`run` does.
        """
