"""Redis as truth: units and outbox keep the rules that PostgreSQL's do; nothing is lost when a process is killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.arq import ArqQueue
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.redis.outbox import RedisOutbox
from marketplace_core.adapters.redis.server import connect
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.events import decode_envelope
from marketplace_core.outbox import Relay
from marketplace_core.ports import UnitOfWork
from marketplace_core.testing.contracts import Happened, assert_contract_fails, eventually, fixtures_of, running
from marketplace_core.testing.contracts.bus import Log
from marketplace_core.testing.contracts.outbox import TOPIC, OutboxContract
from marketplace_core.testing.contracts.units import Elsewhere, Probe, UnitsContract
from marketplace_core.testing.contracts.units_probe import happened
from tests.contracts import wrong_redis as wrong

NAME = "plugin"
PROGRAM = str(Path(__file__).with_name("redis_process.py"))


class RedisProbe(Probe):
    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def write(self, uow: UnitOfWork, text: str) -> None:
        RedisUnits.on(uow).add("RPUSH", f"{NAME}:rows", text)

    async def written(self) -> list[str]:
        return [row.decode() for row in await self._redis.lrange(f"{NAME}:rows", 0, -1)]

    async def outgoing(self) -> list[str]:
        return [fields[b"type"].decode() for _, fields in await self._redis.xrange(f"{NAME}:outbox")]


@pytest.fixture
def probe(redis_lasting: Redis) -> RedisProbe:
    return RedisProbe(redis_lasting)


@pytest.fixture
def units(redis_lasting: Redis, movable_clock: RedisClock) -> RedisUnits:
    return RedisUnits(redis_lasting, movable_clock, NAME, frozenset({TOPIC}))


@pytest.fixture
def other_units(redis_lasting: Redis, movable_clock: RedisClock) -> RedisUnits:
    return RedisUnits(redis_lasting, movable_clock, "other")


@pytest.fixture
def outbox(redis_lasting: Redis) -> RedisOutbox:
    return RedisOutbox(redis_lasting, NAME)


@pytest.fixture
async def other_redis(redis_lasting_url: str, redis_lasting: Redis) -> AsyncIterator[Redis]:
    async with connect(redis_lasting_url) as client:
        yield client


@pytest.fixture
def second(other_redis: Redis) -> RedisOutbox:
    return RedisOutbox(other_redis, NAME)


class TestRedisOutbox(OutboxContract):
    pass


class TestRedisUnits(UnitsContract):
    """But for keys that are parked: :class:`RedisUnits` has no place for them."""

    test_a_parked_key_waits = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.TellsTwice, "test_sequences_are_consecutive_from_1"),
        (wrong.HidesItsWriter, "test_a_row_tells_its_writer"),
        (wrong.IsItsOwnWriter, "test_a_row_tells_its_writer"),
        (wrong.OwnsEveryLane, "test_a_lane_has_one_owner"),
        (wrong.LeavesItsLease, "test_the_lanes_of_who_left_are_taken_over"),
        (wrong.MarksNothing, "test_what_is_marked_is_gone"),
        (wrong.TellsNobody, "test_a_commit_wakes_the_relay"),
        (wrong.MarksNothing, "test_events_that_nobody_wants_are_only_marked"),
        (wrong.MarksWhatItReads, "test_rows_are_marked_after_the_bus_has_them"),
    ],
)
async def test_the_suite_notices_outboxes(
    mistake: type[Any],
    test: str,
    redis_lasting: Redis,
    other_redis: Redis,
    movable_clock: RedisClock,
    bus: RedisBus,
    jobs: ArqQueue,
) -> None:
    units = mistake if issubclass(mistake, RedisUnits) else RedisUnits
    outbox = mistake if issubclass(mistake, RedisOutbox) else RedisOutbox
    given = {
        "units": units(redis_lasting, movable_clock, NAME),
        "outbox": outbox(redis_lasting, NAME),
        "second": outbox(other_redis, NAME),
        "bus": bus,
        "jobs": jobs,
    }
    await assert_contract_fails(OutboxContract, test, **fixtures_of(OutboxContract, test, given))


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.WritesAtOnce, "test_a_unit_is_all_or_nothing"),
        (wrong.ForgetsTheAnswer, "test_a_repeat_gets_the_stored_answer"),
        (wrong.LocksNobodyOut, "test_a_key_in_use_is_in_flight"),
        (wrong.AppliesEverything, "test_an_event_is_applied_once"),
        (wrong.AppliesEverything, "test_only_a_greater_sequence_applies"),
        (wrong.SharesItsInbox, "test_handlers_do_not_share_what_they_saw"),
        (wrong.SharesItsNames, "test_keys_are_of_one_plugin"),
        (wrong.SharesItsNames, "test_names_are_the_plugins_and_not_its_packages"),
        (wrong.SharesItsNames, "test_plugins_do_not_share_what_they_saw"),
        (wrong.IgnoresTheWriter, "test_writers_do_not_hide_each_others_events"),
        (wrong.KnowsOnlyWriters, "test_what_bears_no_writer_is_of_whoever_wrote_the_key"),
        (wrong.EmitsAnywhere, "test_a_plugin_emits_on_its_own_topics"),
    ],
)
async def test_the_suite_notices_units(
    mistake: type[RedisUnits], test: str, redis_lasting: Redis, movable_clock: RedisClock, probe: RedisProbe
) -> None:
    given = {
        "units": mistake(redis_lasting, movable_clock, NAME, frozenset({TOPIC})),
        "other_units": mistake(redis_lasting, movable_clock, "other"),
        "probe": probe,
    }
    await assert_contract_fails(UnitsContract, test, **fixtures_of(UnitsContract, test, given))


async def test_what_a_release_before_writers_has_left_counts_on(
    redis_lasting: Redis, units: RedisUnits, outbox: RedisOutbox, probe: RedisProbe
) -> None:
    """Its rows have no writer, and its inbox holds mere numbers."""
    fields = {"kind": "event", "topic": TOPIC, "type": Happened.type, "key": "a", "sequence": "1", "id": "1", "payload": "{}"}
    await redis_lasting.xadd(f"{NAME}:outbox", {**fields, "trace": "", "at": "0"}, id="1-0")
    async with outbox.lanes() as lanes:
        assert [row.writer for row in await lanes.pending(10)] == [""]

    async def work(uow: UnitOfWork) -> None:
        await probe.write(uow, "row")

    await redis_lasting.hset(f"{NAME}:inbox:on", f"{TOPIC}:a", "5")
    order = [("one", 5), ("one", 6), ("two", 6), ("one", 6)]
    assert [await units.apply("on", happened("a", n, writer=w), work) for w, n in order] == [False, True, True, False]


# ── scripts of a plugin's own ────────────────────────────────────────────────────────────────────────────────

SCRIPT = """
local count = redis.call('INCR', 'plugin:count')
for n = 1, tonumber(ARGV[1]) do
  emit('contract.happened', ARGV[2], {thing = ARGV[2], note = 'ü "' .. count .. '"'})
end
return count
"""


async def test_a_script_tells_of_what_it_found(units: RedisUnits, outbox: RedisOutbox) -> None:
    script = units.script(SCRIPT, [Happened])
    assert [await script([2, "a"]), await script([0, "a"]), await script([1, "a"])] == [1, 2, 3]
    async with outbox.lanes() as lanes:
        rows = await lanes.pending(10)
    assert [row.sequence for row in rows] == [1, 2, 3]
    events = [decode_envelope(row.payload, row.sequence or 0).decode() for row in rows]
    assert events == [Happened(thing="a", note=f'ü "{n}"') for n in (1, 1, 3)]
    assert len({row.event_id for row in rows}) == 3


async def test_a_script_emits_on_the_plugins_own_topics(units: RedisUnits) -> None:
    with pytest.raises(ValueError, match=r"info\(\)\.emits"):
        units.script(SCRIPT, [Elsewhere])


async def test_rows_wait_for_a_server_that_was_away(units: RedisUnits, outbox: RedisOutbox) -> None:
    assert (await outbox.backlog(), await outbox.oldest(), await outbox.position()) == (0, 0.0, 0)
    await units.script(SCRIPT, [Happened])([3, "a"])
    assert (await outbox.backlog(), await outbox.position()) == (3, 3)
    assert 0 <= await outbox.oldest() < 5


@pytest.mark.timeout(240)
async def test_whoever_is_killed_nothing_is_lost_or_out_of_order(
    redis_lasting: Redis, redis_lasting_url: str, outbox: RedisOutbox, bus: RedisBus, jobs: ArqQueue
) -> None:
    """Writers and relays die between any two lines, again and again; what was acknowledged arrives, in order for each key."""

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, redis_lasting_url, NAME, *arguments, stdout=asyncio.subprocess.PIPE
        )

    acknowledged = {"a": 0, "b": 0}
    log = Log()
    async with running(bus.consume("one", [TOPIC]).run(log)):
        for seed in range(5):
            writer, relay = await start("write", f"{seed}:60"), await start("relay", f"{seed}:8")
            said, _ = await writer.communicate()
            for line in said.decode().split():
                acknowledged[line] += 1
            assert writer.returncode == -signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):  # it has killed itself
                relay.kill()
            assert await relay.wait() == -signal.SIGKILL
        async with running(Relay(NAME, outbox, bus, jobs, frozenset({TOPIC})).run()):

            async def empty() -> bool:
                return await outbox.backlog() == 0

            await eventually(empty, within=30.0)

            async def arrived() -> bool:
                return await bus.lag({"one": [TOPIC]}) == 0

            await eventually(arrived, within=30.0)
    kept = {key: int(await redis_lasting.get(f"{NAME}:kept:{key}") or 0) for key in acknowledged}
    for key, count in acknowledged.items():
        assert 0 < count <= kept[key], "what was acknowledged is kept"
        first = list(dict.fromkeys(log.sequences(key, TOPIC)))
        assert first == list(range(1, kept[key] + 1)), "and told: all of it, once, in its order, and nothing else"
