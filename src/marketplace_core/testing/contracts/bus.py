"""What every :class:`~marketplace_core.ports.Bus` must do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence

import pytest

from marketplace_core.errors import Unavailable
from marketplace_core.ports import Bus, Delivery, Message
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.bus_batches import BatchRules, ConsumerProcess, StartConsumer
from marketplace_core.testing.contracts.bus_messages import GROUPS, LEASE, Log, MessageRules, messages

__all__ = ["GROUPS", "LEASE", "BusContract", "ConsumerProcess", "Log", "StartConsumer", "messages"]


class Busy:
    """Shared by consumers of a group: fails when two deliver from one partition at a time."""

    def __init__(self) -> None:
        self.at_work: set[int] = set()
        self.clash: list[int] = []

    def around(self, log: Log) -> Callable[[Delivery], Awaitable[None]]:
        async def deliver(delivery: Delivery) -> None:
            if delivery.partition in self.at_work:
                self.clash.append(delivery.partition)
            self.at_work.add(delivery.partition)
            await log(delivery)
            self.at_work.discard(delivery.partition)

        return deliver


async def _until_shared(bus: Bus, keys: Sequence[str], log: Log, first: int) -> int:
    """Publish one message of each key after the other until some come to ``log``; gives the last sequence."""
    async with asyncio.timeout(4 * LEASE):
        for last in itertools.count(first):
            await bus.publish([m for key in keys for m in messages(key, last, last)])
            await asyncio.sleep(0.1)
            if log.seen:
                return last
    raise AssertionError


class BusContract(MessageRules, BatchRules):
    """Fixtures: ``bus``, told of :data:`GROUPS` and of :data:`LEASE`; ``start_consumer``, a :data:`StartConsumer` on the
    same bus, and ``start_batches``, one whose consumers read in batches of 5; ``trim``, an async function that does what the
    adapter does against growing for ever; ``hinder``, which gives an async context: for that time the bus takes nothing now,
    and something the next moment; ``scribble``, an async function that writes into the partition of a topic and key what is
    no message of ours, in several ways, and gives in how many.
    """

    async def test_a_message_arrives_whole(self, bus: Bus) -> None:
        log, sent = Log(), messages("a", 1, 3)
        async with running(bus.consume("one", ["shop"]).run(log)):
            await bus.publish(sent)
            await eventually(lambda: len(log.seen) >= 3)
        assert log.seen == sent

    async def test_order_is_kept_per_key(self, bus: Bus) -> None:
        log, keys = Log(), [f"k{n}" for n in range(12)]
        for first in range(1, 40, 10):
            await bus.publish([m for key in keys for m in messages(key, first, first + 9)])
        async with running(bus.consume("one", ["shop"]).run(log)):
            await eventually(lambda: len(log.seen) >= 480)
        assert {key: log.sequences(key) for key in keys} == {key: list(range(1, 41)) for key in keys}

    async def test_one_message_at_a_time_per_partition(self, bus: Bus) -> None:
        log, busy = Log(pause=0.002), Busy()
        async with running(bus.consume("one", ["shop", "stock"]).run(busy.around(log))):
            await bus.publish([m for key in "abcdef" for t in ("shop", "stock") for m in messages(key, 1, 5, t)])
            await eventually(lambda: len(log.seen) >= 60)
        assert busy.clash == []

    async def test_every_group_gets_every_message(self, bus: Bus) -> None:
        one, two = Log(), Log()
        async with running(bus.consume("one", ["shop", "stock"]).run(one), bus.consume("two", ["shop"]).run(two)):
            await bus.publish(messages("a", 1, 20) + messages("b", 1, 20, "stock"))
            await eventually(lambda: len(one.seen) >= 40 and len(two.seen) >= 20)
        assert one.sequences("a") == two.sequences("a") == one.sequences("b", "stock") == list(range(1, 21))
        assert two.sequences("b", "stock") == []

    async def test_what_is_published_waits_for_its_reader(self, bus: Bus) -> None:
        await bus.publish(messages("a", 1, 5))
        log = Log()
        async with running(bus.consume("one", ["shop"]).run(log)):
            await eventually(lambda: len(log.seen) >= 5)
        await bus.publish(messages("a", 6, 9))
        again = Log()
        async with running(bus.consume("one", ["shop"]).run(again)):
            await eventually(lambda: len(again.seen) >= 4)
        assert (log.sequences("a"), again.sequences("a")) == ([1, 2, 3, 4, 5], [6, 7, 8, 9])

    async def test_two_consumers_share_and_never_hold_the_same(self, bus: Bus) -> None:
        first, second, busy = Log(pause=0.001), Log(pause=0.001), Busy()
        keys = [f"k{n}" for n in range(16)]
        loops = [bus.consume("one", ["shop"]).run(busy.around(log)) for log in (first, second)]
        last = 0
        async with running(*loops):

            async def both_have_some() -> bool:
                nonlocal last
                last += 1
                await bus.publish([m for key in keys for m in messages(key, last, last)])
                await asyncio.sleep(0.02)
                return len(first.partitions) > 0 and len(second.partitions) > 0

            await eventually(both_have_some)
            await eventually(lambda: _missing(first.seen + second.seen, keys, last) == [])
        assert busy.clash == []
        for key in keys:
            firsts = dict.fromkeys(m.sequence for m in first.seen + second.seen if m.key == key)
            assert sorted(firsts) == list(range(1, last + 1))

    async def test_the_partitions_of_a_dead_consumer_are_taken_over(self, bus: Bus, start_consumer: StartConsumer) -> None:
        keys = [f"k{n}" for n in range(16)]  # some in each half of the partitions, by whatever hash
        async with start_consumer("one", ["shop"]) as dead:
            await bus.publish([m for key in keys for m in messages(key, 1, 3)])
            await eventually(lambda: len(dead.seen) >= 48)
            log = Log()
            async with running(bus.consume("one", ["shop"]).run(log)):
                last = await _until_shared(bus, keys, log, 4)
                await dead.kill()
                await bus.publish([m for key in keys for m in messages(key, last + 1, last + 2)])
                wanted = {last + 1, last + 2}
                await eventually(lambda: all(wanted <= set(log.sequences(key)) for key in keys), within=4 * LEASE)
        for key in keys:
            assert log.sequences(key) == sorted(log.sequences(key))

    async def test_a_consumer_that_was_stopped_harms_nothing(self, bus: Bus, start_consumer: StartConsumer) -> None:
        keys = [f"k{n}" for n in range(8)]
        async with start_consumer("one", ["shop"]) as sleeper:
            await bus.publish([m for key in keys for m in messages(key, 1, 1)])
            await eventually(lambda: len(sleeper.seen) >= 8)
            sleeper.stop()
            await bus.publish([m for key in keys for m in messages(key, 2, 20)])
            log = Log()

            async def nothing_is_left() -> bool:
                return await bus.lag({"one": ["shop"]}) == 0

            async with running(bus.consume("one", ["shop"]).run(log)):
                await eventually(nothing_is_left)
                sleeper.go_on()
                await asyncio.sleep(0.1)
                await bus.publish([m for key in keys for m in messages(key, 21, 40)])

                def arrived() -> bool:
                    everything = set(sleeper.seen) | {f"{m.key}/{m.sequence}" for m in log.seen}
                    return all(f"{key}/{n}" in everything for key in keys for n in range(1, 41))

                await eventually(arrived)
                await eventually(nothing_is_left)
            # Others had done by then what it had read before it was stopped.
            stale = {f"{key}/{n}" for key in keys for n in range(2, 21)}
            assert stale.isdisjoint(sleeper.seen)

    async def test_what_was_not_done_is_delivered_again(self, bus: Bus) -> None:
        await bus.publish(messages("a", 1, 6))
        seen: list[int] = []

        async def crash_at_four(delivery: Delivery) -> None:
            if delivery.message.sequence == 4:
                raise ZeroDivisionError
            seen.append(delivery.message.sequence)

        with pytest.raises(BaseException) as caught:
            await bus.consume("one", ["shop"]).run(crash_at_four)
        assert "ZeroDivisionError" in repr(caught.value)
        log = Log()
        async with running(bus.consume("one", ["shop"]).run(log)):
            await eventually(lambda: 6 in log.sequences("a"), within=4 * LEASE)
        assert seen == [1, 2, 3]
        assert log.sequences("a")[-3:] == [4, 5, 6]

    async def test_what_was_cut_short_is_delivered_again(self, bus: Bus) -> None:
        await bus.publish(messages("a", 1, 3))
        began = asyncio.Event()

        async def hang(delivery: Delivery) -> None:
            began.set()
            await asyncio.Event().wait()

        async with running(bus.consume("one", ["shop"]).run(hang)):
            await eventually(began.is_set)
        log = Log()
        async with running(bus.consume("one", ["shop"]).run(log)):
            await eventually(lambda: len(log.seen) >= 3, within=4 * LEASE)
        assert log.sequences("a") == [1, 2, 3]

    async def test_one_slow_key_does_not_stop_the_others(self, bus: Bus) -> None:
        """Its partition waits; the other partitions go on, and what they did stays done when the consumer ends."""
        keys = [f"k{n}" for n in range(16)]
        log, slow = Log(), asyncio.Event()

        async def deliver(delivery: Delivery) -> None:
            if delivery.message.key == "k0":
                slow.set()
                await asyncio.Event().wait()
            await log(delivery)

        async with running(bus.consume("one", ["shop"]).run(deliver)):
            await bus.publish([m for key in keys for m in messages(key, 1, 1)])
            await eventually(slow.is_set)
            for n in range(2, 12):
                await bus.publish([m for key in keys for m in messages(key, n, n)])
            await eventually(lambda: len([key for key in keys if 11 in log.sequences(key)]) >= 8)
            done = [key for key in keys if 11 in log.sequences(key)]
        rest = Log()
        async with running(bus.consume("one", ["shop"]).run(rest)):
            await eventually(lambda: 11 in rest.sequences("k0"), within=4 * LEASE)
        assert rest.sequences("k0") == list(range(1, 12))
        assert [key for key in done if rest.sequences(key)] == []

    async def test_what_is_away_is_waited_for(self, bus: Bus) -> None:
        log, refusals = Log(), iter([True, True])

        async def deliver(delivery: Delivery) -> None:
            if delivery.message.sequence == 2 and next(refusals, False):
                raise Unavailable()
            await log(delivery)

        await bus.publish(messages("a", 1, 3))
        async with running(bus.consume("one", ["shop"]).run(deliver)):
            await eventually(lambda: len(log.seen) >= 3)
        assert log.sequences("a") == [1, 2, 3]

    async def test_trimming_waits_for_every_declared_group(self, bus: Bus, trim: Callable[[], Awaitable[None]]) -> None:
        sent = [m for key in ("a", "b", "c", "d", "e") for m in messages(key, 1, 60)]
        await bus.publish(sent)
        one, two = Log(), Log()
        async with running(bus.consume("one", ["shop"]).run(one)):
            await eventually(lambda: len(one.seen) >= 300)
        await trim()
        assert await bus.lag({"two": ["shop"]}) == 300
        async with running(bus.consume("two", ["shop"]).run(two)):
            await eventually(lambda: len(two.seen) >= 300)
        await trim()
        assert {key: two.sequences(key) for key in "abcde"} == {key: list(range(1, 61)) for key in "abcde"}

    async def test_lag_is_what_is_not_acknowledged(self, bus: Bus) -> None:
        assert await bus.lag(GROUPS) == 0
        await bus.publish(messages("a", 1, 5) + messages("a", 1, 2, "stock"))
        assert await bus.lag(GROUPS) == 12
        began, go_on = asyncio.Event(), asyncio.Event()

        async def deliver(delivery: Delivery) -> None:
            began.set()
            await go_on.wait()

        async with running(bus.consume("one", ["shop", "stock"]).run(deliver)):
            await eventually(began.is_set)
            assert await bus.lag({"one": ["shop", "stock"]}) == 7
            go_on.set()

            async def none_left() -> bool:
                return await bus.lag({"one": ["shop", "stock"]}) == 0

            await eventually(none_left)
        assert await bus.lag(GROUPS) == 5

    async def test_ending_is_quick_and_leaves_the_partitions_free(self, bus: Bus) -> None:
        loop = asyncio.get_running_loop()
        log = Log()
        await bus.publish(messages("a", 1, 1))
        task = asyncio.ensure_future(bus.consume("one", ["shop"]).run(log))
        await eventually(lambda: log.seen)
        began = loop.time()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await bus.publish(messages("a", 2, 2))
        after = Log()
        async with running(bus.consume("one", ["shop"]).run(after)):
            await eventually(lambda: after.seen)
        assert after.sequences("a") == [2]
        assert loop.time() - began < LEASE


def _missing(seen: Sequence[Message], keys: Sequence[str], last: int) -> list[str]:
    """The keys of which not everything up to ``last`` was delivered."""
    return [key for key in keys if {m.sequence for m in seen if m.key == key} != set(range(1, last + 1))]
