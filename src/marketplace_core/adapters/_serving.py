"""What consumers of every bus do with the partitions that they hold: deliver one step at a time, and acknowledge.

How a partition is held, read and acknowledged is the adapter's.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import structlog

from marketplace_core.errors import Unavailable
from marketplace_core.events import Unreadable
from marketplace_core.ports import Consumer, Deliver, DeliverBatch, Delivery, Message, PutAside, RawMessage

__all__ = ["AWAY_PAUSE", "Entry", "Partition", "ServingConsumer", "Step", "storable"]

log = structlog.get_logger("marketplace.bus")

#: A partition with more than this many entries read and not yet delivered is not read from.
READ_AHEAD = 200
ACK_SECONDS = 0.5
AWAY_PAUSE = 0.5
#: For how long who leaves a partition tries to say how far it came.
PART_SECONDS = 2.0


class Entry(Protocol):
    """What was read. ``at``: when, by the event loop's clock. ``stream`` and ``id``: where it is; they are kept as done."""

    @property
    def stream(self) -> Any: ...

    @property
    def id(self) -> Any: ...

    @property
    def at(self) -> float: ...

    @property
    def topic(self) -> str: ...

    @property
    def raw(self) -> bytes: ...

    def message(self) -> Message:
        """:raises Unreadable: it is none of ours."""


E = TypeVar("E", bound=Entry)


def storable(message: Message) -> Message:
    """:raises Unreadable: a store could not keep it."""
    if not 0 <= message.sequence < 2**63:
        raise Unreadable("its sequence is out of range")
    if "\0" in message.envelope or "\0" in message.type + message.key + message.writer:
        raise Unreadable("there is a zero byte in it")
    return message


class Partition(Generic[E]):
    """One partition that is held, and what was read of it and is still to be delivered."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiting: deque[E] = deque()
        self.stirred = asyncio.Event()
        self.leaving = False
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """Stop after what is being delivered."""
        self.leaving = True
        self.stirred.set()


P = TypeVar("P", bound=Partition[Any])

#: Deliver some of what waits in a partition; gives how many of the first are done.
Step = Callable[[P], Awaitable[int]]


class ServingConsumer(Consumer, Generic[P]):
    #: What the driver raises while the server is away.
    away: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, group: str) -> None:
        self._group = group
        self._held: dict[int, P] = {}
        self._put_aside: PutAside | None = None
        self._ahead, self._ack_seconds = READ_AHEAD, ACK_SECONDS

    async def run(self, deliver: Deliver, put_aside: PutAside | None = None) -> None:
        async def one(partition: P) -> int:
            await self._deliver(partition, partition.waiting[0], deliver)
            return 1

        self._put_aside = put_aside
        await self._consume(one)

    async def run_batches(self, deliver: DeliverBatch, put_aside: PutAside | None = None, *, size: int, linger: float) -> None:
        self._ahead, self._ack_seconds = max(READ_AHEAD, 2 * size), 0.0

        async def some(partition: P) -> int:
            await self._gather(partition, size, linger)
            await self._until_valid(partition)
            return await self._deliver_batch(partition, list(islice(partition.waiting, size)), deliver)

        self._put_aside = put_aside
        await self._consume(some)

    # ── what the adapter does ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def _consume(self, step: Step[P]) -> None:
        """Hold partitions, read, and :meth:`_serve` each in a task, for ever."""

    @abstractmethod
    async def _until_valid(self, partition: P) -> None:
        """A process that was stopped for long delivers nothing before it has looked what became of what it held."""

    @abstractmethod
    async def _acknowledge(self, partition: P, done: dict[Any, Any]) -> bool:
        """Whether the partition is still ours; then ``done``, the last id by stream, is kept, and empty."""

    @abstractmethod
    async def _part(self, partition: P, done: dict[Any, Any]) -> None:
        """Acknowledge, and give the partition up."""

    # ── delivering ───────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self, partition: P, step: Step[P]) -> None:
        """Deliver what is read, one step at a time; acknowledge when nothing waits, and now and then."""
        loop = asyncio.get_running_loop()
        done: dict[Any, Any] = {}
        acknowledged = loop.time()
        try:
            while not partition.leaving:
                if not partition.waiting or loop.time() - acknowledged > self._ack_seconds:
                    if not await self._acknowledge_surely(partition, done):
                        return
                    acknowledged = loop.time()
                if partition.leaving:  # since then: to clear that it was stirred would be to wait for ever
                    break
                if not partition.waiting:
                    partition.stirred.clear()
                    await partition.stirred.wait()
                    continue
                await self._until_valid(partition)
                for _ in range(await step(partition)):
                    entry = partition.waiting.popleft()
                    done[entry.stream] = entry.id
        finally:
            with contextlib.suppress(TimeoutError, *self.away):
                async with asyncio.timeout(PART_SECONDS):
                    await self._part(partition, done)
            if self._held.get(partition.number) is partition:
                del self._held[partition.number]

    async def _deliver(self, partition: P, entry: Any, deliver: Deliver) -> None:
        try:
            delivery = _delivery(partition, entry)
        except Unreadable as error:
            await self._pass_over(partition, entry, error)
        else:
            await self._surely(partial(deliver, delivery))

    async def _gather(self, partition: P, size: int, linger: float) -> None:
        """Until so many wait, or the first of them has waited for so long."""
        loop = asyncio.get_running_loop()
        until = partition.waiting[0].at + linger
        while len(partition.waiting) < size and not partition.leaving and (left := until - loop.time()) > 0:
            partition.stirred.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await partition.stirred.wait()

    async def _deliver_batch(self, partition: P, entries: Sequence[Any], deliver: DeliverBatch) -> int:
        """Those before the first that cannot be read, or that one. Gives how many are done."""
        batch: list[Delivery] = []
        for entry in entries:
            try:
                batch.append(_delivery(partition, entry))
            except Unreadable as error:
                if batch:
                    break
                await self._pass_over(partition, entry, error)
                return 1
        await self._surely(partial(deliver, batch))
        return len(batch)

    async def _pass_over(self, partition: P, entry: Any, error: Unreadable) -> None:
        if self._put_aside is None:
            raise error
        await self._surely(partial(self._put_aside, RawMessage(entry.topic, partition.number, entry.raw, str(error))))

    async def _surely(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
                return
            except (Unavailable, OSError) as error:
                await self._wait(error)

    async def _acknowledge_surely(self, partition: P, done: dict[Any, Any]) -> bool:
        while True:
            try:
                return await self._acknowledge(partition, done)
            except self.away as error:
                await self._wait(error)

    async def _wait(self, error: Exception) -> None:
        log.warning("consumer.waiting", group=self._group, cause=type(error).__name__)
        await asyncio.sleep(AWAY_PAUSE)


def _delivery(partition: Partition[Any], entry: Entry) -> Delivery:
    """:raises Unreadable:"""
    return Delivery(entry.topic, partition.number, str(entry.id), entry.message())
