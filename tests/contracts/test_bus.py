from __future__ import annotations

import asyncio
import contextlib
import tempfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from marketplace_core.adapters.embedded import EmbeddedRedis
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.consumer import RedisConsumer
from marketplace_core.adapters.redis.partitions import Names
from marketplace_core.adapters.redis.server import alone, connect
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Delivery
from marketplace_core.testing.contracts import assert_contract_fails, eventually, running
from marketplace_core.testing.contracts.bus import GROUPS, LEASE, BusContract, Log, StartConsumer, messages
from tests.contracts import bus_process
from tests.contracts import wrong_bus as wrong


@pytest.fixture
def start_consumer(redis_lasting_url: str) -> StartConsumer:
    return partial(bus_process.start, "messages", "RedisBus", redis_lasting_url)


@pytest.fixture
def start_batches(redis_lasting_url: str) -> StartConsumer:
    return partial(bus_process.start, "batches", "RedisBus", redis_lasting_url)


@contextlib.asynccontextmanager
async def full_for_moments(redis: Redis) -> AsyncIterator[None]:
    """As a server is that others fill and empty."""

    async def fill_and_empty() -> None:
        while True:
            await redis.config_set("maxmemory", 1)
            await redis.config_set("maxmemory", 0)
            await asyncio.sleep(0.0005)

    async with running(fill_and_empty()):
        try:
            yield
        finally:
            await asyncio.sleep(0.01)
    await redis.config_set("maxmemory", 0)


async def scribbled(redis: Redis, topic: str, key: str) -> int:
    """Somebody else's, of a newer release, cut off, and what no store could keep."""
    good = {"t": "shop.sold", "k": key, "s": "3", "e": "{}"}
    entries: list[dict[Any, Any]] = [
        {"x": b"\xff\x00"},
        {name: value for name, value in good.items() if name != "s"},
        {name: value for name, value in good.items() if name != "e"},
        {**good, "s": "three"},
        {**good, "s": str(2**63)},
        {**good, "e": b'{"n":\xc3'},
        {**good, "e": "\0"},
    ]
    stream = f"bus:{topic}:{zlib.crc32(key.encode()) % 4}"
    for entry in entries:
        await redis.xadd(stream, entry)
    return len(entries)


@pytest.mark.behaviour("events-1")
class TestRedisBus(BusContract):
    @pytest.fixture
    def trim(self, bus: RedisBus) -> Callable[[], Awaitable[None]]:
        return bus.trim

    @pytest.fixture
    def hinder(self, redis_lasting: Redis) -> Callable[[], AbstractAsyncContextManager[None]]:
        return partial(full_for_moments, redis_lasting)

    @pytest.fixture
    def scribble(self, redis_lasting: Redis) -> Callable[[str, str], Awaitable[int]]:
        return partial(scribbled, redis_lasting)


@pytest.mark.parametrize(
    ("bus", "test"),
    [
        (wrong.CutsMessages, "test_a_message_arrives_whole"),
        (wrong.PublishesInAnyOrder, "test_order_is_kept_per_key"),
        (wrong.PublishesOneByOne, "test_a_publish_is_all_or_a_prefix"),
        (wrong.EndsAtWhatItCannotRead, "test_what_cannot_be_read_is_put_aside"),
        (wrong.PassesOverWhatItCannotRead, "test_what_cannot_be_read_is_put_aside"),
        (wrong.PassesOverWhatItCannotRead, "test_what_cannot_be_read_is_passed_over_by_nobody"),
        (wrong.DeliversAtOnce, "test_one_message_at_a_time_per_partition"),
        (wrong.SharesOneCursor, "test_every_group_gets_every_message"),
        (wrong.BeginsAtTheEnd, "test_what_is_published_waits_for_its_reader"),
        (wrong.HoldsTwice, "test_two_consumers_share_and_never_hold_the_same"),
        (wrong.NeverTakesOver, "test_the_partitions_of_a_dead_consumer_are_taken_over"),
        (wrong.TrustsItsLease, "test_a_consumer_that_was_stopped_harms_nothing"),
        (wrong.ForgetsFailures, "test_what_was_not_done_is_delivered_again"),
        (wrong.AcknowledgesBeforehand, "test_what_was_cut_short_is_delivered_again"),
        (wrong.OneAfterTheOther, "test_one_slow_key_does_not_stop_the_others"),
        (wrong.GivesUpAtOnce, "test_what_is_away_is_waited_for"),
        (wrong.TrimsByLength, "test_trimming_waits_for_every_declared_group"),
        (wrong.CountsWhatIsRead, "test_lag_is_what_is_not_acknowledged"),
        (wrong.KeepsItsLeases, "test_ending_is_quick_and_leaves_the_partitions_free"),
        (wrong.TurnsBatchesRound, "test_batches_keep_the_order_and_the_size"),
        (wrong.KnowsNoSize, "test_batches_keep_the_order_and_the_size"),
        (wrong.TakesOneByOne, "test_batches_keep_the_order_and_the_size"),
        (wrong.TakesOneByOne, "test_a_batch_lingers_for_more"),
        (wrong.WaitsUntilItIsFull, "test_a_batch_lingers_for_more"),
        (wrong.AcknowledgesWhatItRead, "test_a_batch_is_acknowledged_once_it_is_done"),
        (wrong.AcknowledgesBatchesBeforehand, "test_a_batch_is_acknowledged_once_it_is_done"),
        (wrong.AcknowledgesBatchesBeforehand, "test_a_batch_that_failed_is_delivered_again"),
        (wrong.AcknowledgesBatchesBeforehand, "test_a_reader_of_batches_that_is_killed_loses_nothing"),
        (wrong.DropsTheBatch, "test_who_is_away_gets_the_batch_again"),
        (wrong.OneAfterTheOther, "test_a_batch_that_hangs_holds_up_its_partition_only"),
        (wrong.PassesOverWhatItCannotRead, "test_a_batch_ends_at_what_cannot_be_read"),
        (wrong.PutsAsideTooEarly, "test_a_batch_ends_at_what_cannot_be_read"),
        (wrong.TrustsItsLease, "test_who_lost_its_lease_delivers_no_further_batch"),
    ],
)
async def test_the_suite_notices(bus: type[RedisBus], test: str, redis_lasting: Redis, redis_lasting_url: str) -> None:
    wrong_bus = bus(redis_lasting, groups=GROUPS, lease=LEASE)
    fixtures: dict[str, Any] = {}
    if "dead" in test or "stopped" in test:
        fixtures["start_consumer"] = partial(bus_process.start, "messages", bus.__name__, redis_lasting_url)
    if "killed" in test or "lost_its_lease" in test:
        fixtures["start_batches"] = partial(bus_process.start, "batches", bus.__name__, redis_lasting_url)
    if "prefix" in test:
        fixtures["hinder"] = partial(full_for_moments, redis_lasting)
    if "cannot_be_read" in test:
        fixtures["scribble"] = partial(scribbled, redis_lasting)
    if "trimming" in test:
        fixtures["trim"] = wrong_bus.trim
    await assert_contract_fails(BusContract, test, bus=wrong_bus, patience=3 * LEASE, **fixtures)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), min_size=1, max_size=6), consumers=st.integers(1, 3))
async def test_order_is_kept_whoever_reads(batches: list[list[str]], consumers: int, redis_lasting: Redis) -> None:
    """Consumers leave and come while batches are published."""
    await redis_lasting.flushdb()
    bus = RedisBus(redis_lasting, groups=GROUPS, lease=LEASE)
    count, log = Counter[str](), Log()
    async with running(*(bus.consume("one", ["shop"]).run(log) for _ in range(consumers))):
        for batch in batches:
            async with running(bus.consume("one", ["shop"]).run(log)):
                numbered = []
                for key in batch:
                    count[key] += 1
                    numbered += messages(key, count[key], count[key])
                await bus.publish(numbered)
                await asyncio.sleep(0)
        await eventually(lambda: {key: max(log.sequences(key), default=0) for key in count} == count)
    for key in count:
        assert list(dict.fromkeys(log.sequences(key))) == list(range(1, count[key] + 1))


async def test_a_server_that_is_killed_loses_nothing_and_is_found_again() -> None:
    with tempfile.TemporaryDirectory(prefix="mp-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedRedis(Path(folder) / "d", "lasting")
        await server.start()
        async with connect(server.url) as client:
            bus, log = RedisBus(client, groups=GROUPS, lease=LEASE), Log()
            async with running(bus.consume("one", ["shop"]).run(log)):
                await bus.publish(messages("a", 1, 3))
                await eventually(lambda: len(log.seen) >= 3)
                await bus.publish(messages("a", 4, 5))
                assert server.child is not None
                server.child.kill()
                await server.child.wait()
                with pytest.raises(Unavailable):
                    await bus.publish(messages("a", 6, 6))
                await server.start()
                await bus.publish(messages("a", 6, 8))
                await eventually(lambda: 8 in log.sequences("a"))
            assert list(dict.fromkeys(log.sequences("a"))) == list(range(1, 9))
            assert await bus.lag({"one": ["shop"]}) == 0
        await server.stop()


class LeavesSlowly(RedisConsumer):
    """As where Redis was stopped for a while: the last word about a partition takes longer than the next renewal."""

    async def _part(self, partition: Any, done: dict[str, str]) -> None:
        await asyncio.sleep(1.5)
        await super()._part(partition, done)


async def test_a_partition_that_is_lost_while_it_is_left_is_served_again(redis_lasting: Redis) -> None:
    log, changed = Log(), asyncio.Event()
    consumer = LeavesSlowly(redis_lasting, partial(alone, redis_lasting), Names("bus", "one", ["shop"], 4), "one", lease=2.0)

    async def deliver(delivery: Delivery) -> None:
        await log(delivery)
        if not changed.is_set():  # a renewal whose answer was lost has taken it anew
            changed.set()
            lease = f"bus:lease:one:{delivery.partition}"
            owner = (await redis_lasting.get(lease)).rpartition(b":")[0]
            await redis_lasting.set(lease, owner + b":late", px=2000)

    bus = RedisBus(redis_lasting, groups=GROUPS)
    async with running(consumer.run(deliver)):
        await bus.publish(messages("a", 1, 1))
        await changed.wait()
        await asyncio.sleep(2.0)
        await bus.publish(messages("a", 2, 3))
        await eventually(lambda: list(dict.fromkeys(log.sequences("a"))) == [1, 2, 3])
