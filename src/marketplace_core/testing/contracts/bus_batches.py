"""What a bus does for those that read it in batches. Part of the suite in ``bus``."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from marketplace_core.errors import Unavailable
from marketplace_core.ports import Bus, Delivery, Message, RawMessage
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.bus_messages import LEASE, messages

__all__ = ["BatchRules", "ConsumerProcess", "StartConsumer"]


class ConsumerProcess(ABC):
    """A consumer in a process of its own."""

    seen: list[str]
    """``<key>/<sequence>`` of what it was delivered, in order. In batches ``+<key>/<sequence>`` of each as the batch begins,
    and without the ``+`` once it is done, a while later."""

    @abstractmethod
    def stop(self) -> None:
        """SIGSTOP."""

    @abstractmethod
    def go_on(self) -> None:
        """SIGCONT."""

    @abstractmethod
    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""


StartConsumer = Callable[[str, Sequence[str]], AbstractAsyncContextManager[ConsumerProcess]]


class Batches:
    """Notes what is delivered, batch by batch, and fails when a partition is delivered to twice at once."""

    def __init__(self, pause: float = 0.0) -> None:
        self.seen: list[list[Message]] = []
        self.pause = pause
        self.at_work: set[int] = set()

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        (partition,) = {delivery.partition for delivery in batch}
        assert partition not in self.at_work, f"partition {partition} is delivered to twice at once"
        self.at_work.add(partition)
        await asyncio.sleep(self.pause)
        self.at_work.discard(partition)
        self.seen.append([delivery.message for delivery in batch])

    def sequences(self, key: str, topic: str = "shop") -> list[int]:
        return [message.sequence for message in self.all if (message.key, message.topic) == (key, topic)]

    @property
    def all(self) -> list[Message]:
        return [message for batch in self.seen for message in batch]


class BatchRules:
    """Fixtures: those of ``BusContract``."""

    async def test_batches_keep_the_order_and_the_size(self, bus: Bus) -> None:
        keys, log = [f"k{n}" for n in range(12)], Batches(pause=0.002)
        topics = ("shop", "stock")
        for first in range(1, 60, 20):
            await bus.publish([m for key in keys for t in topics for m in messages(key, first, first + 19, t)])
        async with running(bus.consume("one", topics).run_batches(log, size=50, linger=0.05)):
            await eventually(lambda: len(log.all) >= 1440)
        for topic in topics:
            assert {key: log.sequences(key, topic) for key in keys} == {key: list(range(1, 61)) for key in keys}
        assert max(map(len, log.seen)) == 50
        assert len(log.seen) < 100, "what waits already is not taken piecemeal"

    async def test_a_batch_lingers_for_more(self, bus: Bus) -> None:
        """No longer than it was told; nor once it is as large as it may be."""
        loop, log = asyncio.get_running_loop(), Batches()
        async with running(bus.consume("one", ["shop"]).run_batches(log, size=4, linger=1.5)):
            await bus.publish(messages("a", 1, 4))
            await eventually(lambda: log.seen)  # it has its partitions now
            began = loop.time()
            await bus.publish(messages("a", 5, 5))
            await asyncio.sleep(0.2)
            await bus.publish(messages("a", 6, 6))
            await eventually(lambda: len(log.all) == 6)
            assert loop.time() - began > 1.2
            began = loop.time()
            await bus.publish(messages("a", 7, 10))
            await eventually(lambda: len(log.all) == 10)
            assert loop.time() - began < 1.2
        assert [[m.sequence for m in batch] for batch in log.seen] == [[1, 2, 3, 4], [5, 6], [7, 8, 9, 10]]

    async def test_a_batch_is_acknowledged_once_it_is_done(self, bus: Bus) -> None:
        """All of it, and no more: what came behind it is not."""
        await bus.publish(messages("a", 1, 25))
        began, go_on = asyncio.Event(), asyncio.Event()
        seen: list[list[int]] = []

        async def deliver(batch: Sequence[Delivery]) -> None:
            seen.append([delivery.message.sequence for delivery in batch])
            if len(seen) == 2:
                began.set()
                await go_on.wait()

        async def lag() -> int:
            return await bus.lag({"one": ["shop"]})

        async with running(bus.consume("one", ["shop"]).run_batches(deliver, size=10, linger=0.05)):
            await eventually(began.is_set)
            assert await lag() == 15
            go_on.set()

            async def nothing_is_left() -> bool:
                return await lag() == 0

            await eventually(nothing_is_left)
        assert seen == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]

    async def test_a_batch_that_failed_is_delivered_again(self, bus: Bus) -> None:
        await bus.publish(messages("a", 1, 12))
        seen: list[list[int]] = []

        async def crash_at_six(batch: Sequence[Delivery]) -> None:
            numbers = [delivery.message.sequence for delivery in batch]
            if 6 in numbers:
                raise ZeroDivisionError
            seen.append(numbers)

        with pytest.raises(BaseException) as caught:
            await bus.consume("one", ["shop"]).run_batches(crash_at_six, size=4, linger=0.05)
        assert "ZeroDivisionError" in repr(caught.value)
        log = Batches()
        async with running(bus.consume("one", ["shop"]).run_batches(log, size=4, linger=0.05)):
            await eventually(lambda: 12 in log.sequences("a"), within=4 * LEASE)
        assert seen == [[1, 2, 3, 4]] and log.sequences("a") == list(range(5, 13))

    async def test_who_is_away_gets_the_batch_again(self, bus: Bus) -> None:
        await bus.publish(messages("a", 1, 6))
        log, refusals = Batches(), iter([True, True])

        async def deliver(batch: Sequence[Delivery]) -> None:
            if batch[0].message.sequence == 4 and next(refusals, False):
                raise Unavailable()
            await log(batch)

        async with running(bus.consume("one", ["shop"]).run_batches(deliver, size=3, linger=0.05)):
            await eventually(lambda: len(log.all) >= 6)
        assert log.sequences("a") == [1, 2, 3, 4, 5, 6]

    async def test_a_batch_that_hangs_holds_up_its_partition_only(self, bus: Bus) -> None:
        keys, log, hangs = [f"k{n}" for n in range(16)], Batches(), asyncio.Event()

        async def deliver(batch: Sequence[Delivery]) -> None:
            if any(delivery.message.key == "k0" for delivery in batch):
                hangs.set()
                await asyncio.Event().wait()
            await log(batch)

        async with running(bus.consume("one", ["shop"]).run_batches(deliver, size=5, linger=0.01)):
            await bus.publish(messages("k0", 1, 1))
            await eventually(hangs.is_set)
            for n in range(2, 6):
                await bus.publish([m for key in keys for m in messages(key, n, n)])
            await eventually(lambda: len([key for key in keys if 5 in log.sequences(key)]) >= 8)
        rest = Batches()
        async with running(bus.consume("one", ["shop"]).run_batches(rest, size=5, linger=0.01)):
            await eventually(lambda: 5 in rest.sequences("k0"), within=4 * LEASE)
        assert rest.sequences("k0") == list(range(1, 6))

    async def test_a_batch_ends_at_what_cannot_be_read(self, bus: Bus, scribble: Callable[[str, str], Awaitable[int]]) -> None:
        """Which is put aside in its turn."""
        log, aside = Batches(), list[RawMessage]()

        async def put_aside(message: RawMessage) -> None:
            assert log.sequences("a") == [1, 2]
            aside.append(message)

        await bus.publish(messages("a", 1, 2))
        count = await scribble("shop", "a")
        await bus.publish(messages("a", 3, 4))

        async def nothing_is_left() -> bool:
            return await bus.lag({"one": ["shop"]}) == 0

        async with running(bus.consume("one", ["shop"]).run_batches(log, put_aside, size=100, linger=0.2)):
            await eventually(nothing_is_left)
        assert (log.sequences("a"), len(aside)) == ([1, 2, 3, 4], count)

    async def test_a_reader_of_batches_that_is_killed_loses_nothing(self, bus: Bus, start_batches: StartConsumer) -> None:
        """What it had done and not acknowledged comes again, and all that it had not done."""
        keys, log = [f"k{n}" for n in range(8)], Batches()
        async with start_batches("one", ["shop"]) as dead:
            await bus.publish([m for key in keys for m in messages(key, 1, 40)])
            await eventually(lambda: any(place[0] != "+" for place in dead.seen))
            await dead.kill()
        async with running(bus.consume("one", ["shop"]).run_batches(log, size=7, linger=0.05)):
            await bus.publish([m for key in keys for m in messages(key, 41, 45)])
            await eventually(lambda: all(45 in log.sequences(key) for key in keys), within=4 * LEASE)
        for key in keys:
            before = [int(place.split("/")[1]) for place in dead.seen if place.startswith(f"{key}/")]
            after = log.sequences(key)
            assert after == list(range(after[0], 46)) and after[0] <= max(before, default=0) + 1

    async def test_who_lost_its_lease_delivers_no_further_batch(self, bus: Bus, start_batches: StartConsumer) -> None:
        keys = [f"k{n}" for n in range(8)]
        async with start_batches("one", ["shop"]) as sleeper:
            await bus.publish([m for key in keys for m in messages(key, 1, 1)])
            await eventually(lambda: len(sleeper.seen) >= 16)
            async with self._stopped(sleeper):
                await bus.publish([m for key in keys for m in messages(key, 2, 30)])
                log = Batches()

                async def nothing_is_left() -> bool:
                    return await bus.lag({"one": ["shop"]}) == 0

                consumer = bus.consume("one", ["shop"])
                async with running(consumer.run_batches(log, size=5, linger=0.05)):
                    await eventually(nothing_is_left)
            await asyncio.sleep(LEASE)
        stale = {f"+{key}/{n}" for key in keys for n in range(2, 31)}
        assert stale.isdisjoint(sleeper.seen)
        assert all(log.sequences(key)[-29:] == list(range(2, 31)) for key in keys)

    @staticmethod
    @contextlib.asynccontextmanager
    async def _stopped(process: ConsumerProcess) -> AsyncIterator[None]:
        process.stop()
        yield
        process.go_on()
