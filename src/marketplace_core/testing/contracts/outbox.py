"""What every :class:`~marketplace_core.outbox.Outbox` must do, together with the units that fill it and the relay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from msgspec import Struct

from marketplace_core.errors import Unavailable
from marketplace_core.events import decode_envelope
from marketplace_core.outbox import JobQueue, Lanes, Outbox, Relay
from marketplace_core.ports import Bus, Consumer, Message, UnitOfWork, Units
from marketplace_core.ports.outbox import OutboxRow
from marketplace_core.testing.contracts import Happened, eventually, running
from marketplace_core.testing.contracts.bus import Log

__all__ = ["TOPIC", "OutboxContract", "Unit", "commit_all", "consecutive"]

TOPIC = Happened.topic
_ALL = frozenset({TOPIC})

#: The aggregates that one unit emits about, in order, and whether it commits.
Unit = tuple[Sequence[str], bool]


class JobArgs(Struct, frozen=True):
    number: int


async def commit_all(units: Units, plan: Sequence[Unit]) -> None:
    """Run the units of ``plan`` at once; those that do not commit fail after they have emitted."""

    async def run(things: Sequence[str], commits: bool) -> None:
        async def work(uow: UnitOfWork) -> None:
            for thing in things:
                uow.emit(Happened(thing=thing))
            if not commits:
                raise ZeroDivisionError

        await units.run(work)

    ends = await asyncio.gather(*(run(*unit) for unit in plan), return_exceptions=True)
    for end in ends:
        assert end is None or isinstance(end, ZeroDivisionError), end


def consecutive(rows: Sequence[OutboxRow], plan: Sequence[Unit]) -> None:
    """In the order of the outbox every aggregate counts from 1 without a gap, over what was committed."""
    emitted = [thing for things, commits in plan if commits for thing in things]
    for thing in {thing for things, _ in plan for thing in things}:
        sequences = [row.sequence for row in rows if row.key == thing]
        assert sequences == list(range(1, emitted.count(thing) + 1)), f"{thing}: {sequences}"


class OutboxContract:
    """Fixtures: ``units``; ``outbox`` of the same store, and ``second`` as another process has it; ``bus`` and ``jobs``."""

    async def test_sequences_are_consecutive_from_1(self, units: Units, outbox: Outbox) -> None:
        plan: list[Unit] = [(("a", "b", "a"), True), (("b",), False), (("a",), True), (("c", "a"), True), (("b",), True)] * 6
        await commit_all(units, plan)
        consecutive(await _pending(outbox), plan)

    async def test_a_row_holds_the_event(self, units: Units, outbox: Outbox) -> None:
        async def work(uow: UnitOfWork) -> None:
            uow.emit(Happened(thing="a", note="ü"))

        await units.run(work)
        (row,) = await _pending(outbox)
        envelope = decode_envelope(row.payload, row.sequence or 0)
        assert (row.kind, row.topic, row.type, row.key, row.sequence) == ("event", TOPIC, Happened.type, "a", 1)
        assert (envelope.id, envelope.decode(), envelope.origin) == (row.event_id, Happened(thing="a", note="ü"), "api")
        assert datetime.fromisoformat(envelope.occurred_at).utcoffset() is not None

    async def test_a_row_tells_its_writer(self, units: Units, outbox: Outbox, second: Outbox, bus: Bus, jobs: JobQueue) -> None:
        """Which is the same for every relay, and travels with the event."""
        await _emit(units, "a")
        (row,) = await _pending(outbox)
        assert row.writer and [each.writer for each in await _pending(second)] == [row.writer]
        log = Log()
        async with running(Relay("main", outbox, bus, jobs, _ALL).run(), bus.consume("one", [TOPIC]).run(log)):
            await eventually(lambda: log.seen)
        assert log.seen[0].writer == row.writer

    async def test_a_lane_has_one_owner(self, units: Units, outbox: Outbox, second: Outbox) -> None:
        things = [f"thing {n}" for n in range(40)]
        await _emit(units, *things)
        async with outbox.lanes() as first:
            await _emit(units, *things)
            async with second.lanes() as other:
                mine = {row.key for row in await first.pending(1000)}
                theirs = {row.key for row in await other.pending(1000)}
        assert mine.isdisjoint(theirs)
        assert mine | theirs == set(things)

    async def test_the_lanes_of_who_left_are_taken_over(self, units: Units, outbox: Outbox, second: Outbox) -> None:
        await _emit(units, "a")
        async with AsyncExitStack() as stack:
            async with outbox.lanes() as first:
                assert len(await first.pending(10)) == 1
                other = await stack.enter_async_context(second.lanes())
                assert await other.pending(10) == []

            async def taken() -> int:
                await other.wait(0.2)
                return len(await other.pending(10))

            assert await eventually(taken, within=4.0) == 1

    async def test_what_is_marked_is_gone(self, units: Units, outbox: Outbox) -> None:
        await _emit(units, "a", "b", "c")
        assert await outbox.backlog() == 3
        async with outbox.lanes() as lanes:
            rows = await lanes.pending(2)
            assert [row.key for row in rows] == ["a", "b"]
            await lanes.mark([row.id for row in rows])
            assert [row.key for row in await lanes.pending(10)] == ["c"]
        assert await outbox.backlog() == 1
        assert [row.key for row in await _pending(outbox)] == ["c"]

    async def test_a_commit_wakes_the_relay(self, units: Units, outbox: Outbox) -> None:
        loop = asyncio.get_running_loop()
        async with outbox.lanes() as lanes:
            await _settle(lanes)
            waiting = asyncio.create_task(lanes.wait(5.0))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            began = loop.time()
            await _emit(units, "a")
            await waiting
            assert loop.time() - began < 1.0

    async def test_the_relay_publishes_and_queues(self, units: Units, outbox: Outbox, bus: Bus, jobs: JobQueue) -> None:
        async def work(uow: UnitOfWork) -> None:
            uow.emit(Happened(thing="a"))
            uow.enqueue("contract.job", JobArgs(7))

        log = Log()
        async with running(Relay("main", outbox, bus, jobs, _ALL).run(), bus.consume("one", [TOPIC]).run(log)):
            await units.run(work)
            await eventually(lambda: log.seen)
            await eventually(_empty(outbox))
        assert log.sequences("a", TOPIC) == [1]
        assert decode_envelope(log.seen[0].envelope, 1).decode() == Happened(thing="a")
        assert await jobs.backlog(datetime.now(UTC)) == 1

    async def test_events_that_nobody_wants_are_only_marked(
        self, units: Units, outbox: Outbox, bus: Bus, jobs: JobQueue
    ) -> None:
        async with running(Relay("main", outbox, bus, jobs, frozenset({"other"})).run()):
            await _emit(units, "a")
            await eventually(_empty(outbox))
        assert await bus.lag({"one": [TOPIC]}) == 0

    async def test_two_relays_keep_the_order_per_key(
        self, units: Units, outbox: Outbox, second: Outbox, bus: Bus, jobs: JobQueue
    ) -> None:
        things, log = [f"t{n}" for n in range(6)], Log()
        first, other = (Relay("main", each, bus, jobs, _ALL) for each in (outbox, second))
        for _ in range(5):
            await _emit(units, *things)
        async with running(bus.consume("one", [TOPIC]).run(log)):
            leaving = asyncio.ensure_future(first.run())
            async with running(other.run()):
                for n in range(15):
                    await asyncio.gather(*(_emit(units, thing) for thing in things))
                    if n == 7:  # in the middle one dies, and the other gets its lanes
                        leaving.cancel()
                        await asyncio.gather(leaving, return_exceptions=True)
                await eventually(_empty(outbox))
                await eventually(lambda: all(20 in log.sequences(thing, TOPIC) for thing in things))
        for thing in things:
            assert list(dict.fromkeys(log.sequences(thing, TOPIC))) == list(range(1, 21))

    async def test_rows_are_marked_after_the_bus_has_them(self, units: Units, outbox: Outbox, bus: Bus, jobs: JobQueue) -> None:
        flaky, log = Flaky(bus), Log()
        async with running(Relay("main", outbox, flaky, jobs, _ALL).run()):
            await _emit(units, "a")
            await eventually(lambda: flaky.refused)
            assert await outbox.backlog() == 1
            flaky.away = False
            await eventually(_empty(outbox))
        async with running(bus.consume("one", [TOPIC]).run(log)):
            await eventually(lambda: log.sequences("a", TOPIC) == [1])

    @pytest.mark.behaviour("events-5")
    async def test_a_publish_that_was_torn_is_made_again_from_its_beginning(
        self, units: Units, outbox: Outbox, bus: Bus, jobs: JobQueue
    ) -> None:
        """So that nobody reads a later event of a key who has not read the earlier ones."""
        torn, log = Torn(bus), Log()
        for _ in range(3):
            await _emit(units, *("a", "b") * 10)
        async with running(Relay("main", outbox, torn, jobs, _ALL).run()):
            await eventually(lambda: torn.refused >= 2, within=5)
            await _emit(units, "a", "b")
            torn.away = False
            await eventually(_empty(outbox))
        async with running(bus.consume("one", [TOPIC]).run(log)):
            await eventually(lambda: all(31 in log.sequences(key, TOPIC) for key in ("a", "b")))
        for key in ("a", "b"):
            assert list(dict.fromkeys(log.sequences(key, TOPIC))) == list(range(1, 32))


class Flaky(Bus):
    """The bus behind a network that is cut until ``away`` is False."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.away = True
        self.refused = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.away:
            self.refused += 1
            raise Unavailable()
        await self._bus.publish(messages)

    def read(self, topic: str, raw: bytes) -> Message:
        return self._bus.read(topic, raw)

    def consume(self, group: str, topics: Sequence[str]) -> Consumer:
        return self._bus.consume(group, topics)

    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        return await self._bus.lag(groups)


class Torn(Flaky):
    """It takes the first third of a publish, until ``away`` is False."""

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.away:
            await self._bus.publish(messages[: len(messages) // 3])
        await super().publish(messages)


async def _emit(units: Units, *things: str) -> None:
    async def work(uow: UnitOfWork) -> None:
        for thing in things:
            uow.emit(Happened(thing=thing))

    await units.run(work)


async def _pending(outbox: Outbox) -> list[OutboxRow]:
    async with outbox.lanes() as lanes:
        return await lanes.pending(10_000)


async def _settle(lanes: Lanes) -> None:
    """What was committed before is no news."""
    await lanes.wait(0.05)


def _empty(outbox: Outbox) -> Callable[[], Awaitable[bool]]:
    async def empty() -> bool:
        return await outbox.backlog() == 0

    return empty
