"""Clock, schedules and blobs."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.embedded import EmbeddedRedis
from marketplace_core.adapters.folder.blobs import FolderBlobs
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.schedules import PostgresSchedules
from marketplace_core.adapters.redis.clock import LATEST, RedisClock
from marketplace_core.adapters.redis.server import connect
from marketplace_core.errors import Invalid, Unavailable
from marketplace_core.testing.contracts import assert_contract_fails, eventually, running
from marketplace_core.testing.contracts.blobs import BlobsContract
from marketplace_core.testing.contracts.clock import ClockContract
from marketplace_core.testing.contracts.schedules import LEASE, ZONE, SchedulesContract, StartProcess
from marketplace_core.testing.servers import Servers
from tests.contracts import bus_process
from tests.contracts import wrong_small as wrong


@pytest.fixture
async def other(redis_lasting_url: str, redis_lasting: Redis, movable_clock: RedisClock) -> AsyncIterator[RedisClock]:
    """As a second process has it."""
    async with connect(redis_lasting_url) as client:
        clock = RedisClock(client)
        async with running(clock.follow()):
            await eventually(lambda: _both_subscribed(redis_lasting))
            yield clock


async def _both_subscribed(redis: Redis) -> bool:
    return bool(dict(await redis.pubsub_numsub("clock:offset"))[b"clock:offset"] == 2)


class TestRedisClock(ClockContract):
    @pytest.fixture
    def late(self, redis_lasting: Redis) -> RedisClock:
        return RedisClock(redis_lasting)


@pytest.mark.behaviour("all-8")
async def test_the_clock_goes_no_further_than_what_is_counted_from_it_can_be_said(clock: RedisClock) -> None:
    for move in (
        lambda: clock.set(datetime(9999, 12, 31, tzinfo=UTC)),
        lambda: clock.set(LATEST + timedelta(seconds=1)),
        lambda: clock.advance(1e12),
        lambda: clock.advance(float("inf")),
    ):
        with pytest.raises(Invalid):
            await move()
    assert clock.offset == timedelta()


async def test_a_clock_on_another_database_of_the_server_is_another(
    marketplace_servers: Servers, clock: RedisClock, other: RedisClock
) -> None:
    async with connect(marketplace_servers.redis_url(marketplace_servers.lasting)) as client:
        await client.flushdb()
        await RedisClock(client).advance(3600)
    await clock.advance(60)
    await eventually(lambda: other.offset >= timedelta(seconds=60))
    assert clock.offset == other.offset == timedelta(seconds=60)


async def test_the_clock_goes_on_while_redis_is_away() -> None:
    with tempfile.TemporaryDirectory(prefix="mp-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedRedis(Path(folder) / "d", "lasting", durable=False)
        await server.start()
        async with connect(server.url) as client, connect(server.url) as second:
            clock, other = RedisClock(client), RedisClock(second)
            async with running(clock.follow(), other.follow()):
                await clock.advance(3600)
                await server.stop()
                before = clock.now()
                with pytest.raises(Unavailable):
                    await clock.advance(3600)
                assert timedelta() < clock.now() - before < timedelta(seconds=10)
                await server.start()
                await clock.advance(7200)
                await eventually(lambda: other.offset == clock.offset == timedelta(hours=3), within=3.0)
        await server.stop()


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.HasNoZone, "test_it_begins_with_the_system"),
        (wrong.StandsStill, "test_it_goes_on_by_itself"),
        (wrong.ForgetsFractions, "test_moves_add_up"),
        (wrong.MovesByWhatItIsSetTo, "test_it_can_be_set"),
        (wrong.GoesBack, "test_it_never_goes_back"),
        (wrong.TellsNobody, "test_others_see_a_move_at_once"),
        (wrong.RestsThroughIt, "test_who_rests_by_it_wakes_at_a_move"),
        (wrong.AddsToWhatItKnows, "test_moves_by_two_at_once_add_up"),
        (wrong.KeepsItToItself, "test_who_comes_later_has_the_same_time"),
    ],
)
async def test_the_suite_notices_clocks(mistake: type[RedisClock], test: str, redis_lasting: Redis, other: RedisClock) -> None:
    given: dict[str, Any] = {"clock": mistake(redis_lasting), "other": other, "late": mistake(redis_lasting)}
    if test == "test_moves_by_two_at_once_add_up":
        given["other"] = mistake(redis_lasting)
    names = getattr(ClockContract, test).__annotations__
    await assert_contract_fails(ClockContract, test, **{name: given[name] for name in given if name in names})


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def other_database(database: Database) -> AsyncIterator[Database]:
    other = Database(database.dsn)
    yield other
    await other.close()


SCHEDULES_PROGRAM = str(Path(__file__).with_name("schedules_process.py"))


class TestPostgresSchedules(SchedulesContract):
    @pytest.fixture
    def start_process(self, database: Database) -> StartProcess:
        return partial(bus_process.run, SCHEDULES_PROGRAM, database.dsn, str(LEASE))

    @pytest.fixture
    def schedules(self, database: Database, clock: RedisClock) -> PostgresSchedules:
        return PostgresSchedules(database, clock, ZONE, lease=LEASE)

    @pytest.fixture
    def second(self, other_database: Database, clock: RedisClock) -> PostgresSchedules:
        return PostgresSchedules(other_database, clock, ZONE, lease=LEASE)


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.RunsAlways, "test_each_is_due_once_per_interval"),
        (wrong.NamesByMethod, "test_schedules_of_one_method_name_are_each_their_plugins"),
        (wrong.CatchesUpOneByOne, "test_one_run_catches_up"),
        (wrong.ClaimsNothing, "test_two_processes_run_it_once"),
        (wrong.DoneBeforehand, "test_what_runs_is_due_until_it_has_ended"),
        (wrong.DoneBeforehand, "test_what_was_cut_short_is_due_again"),
        (wrong.KeepsItForEver, "test_what_a_killed_process_ran_is_run_again"),
        (wrong.OwnsItForAMoment, "test_a_long_run_stays_alone"),
        (wrong.GivesUpOnFailures, "test_a_failure_is_tried_again_later"),
        (wrong.FollowsTheSystem, "test_the_loop_follows_the_clock"),
        (wrong.OneAfterTheOther, "test_a_slow_one_does_not_delay_the_others"),
        (wrong.RunsWhatItSeesFirst, "test_a_time_of_day_comes_once_a_day"),
        (wrong.ByGreenwich, "test_a_time_of_day_comes_once_a_day"),
        (wrong.EveryDay, "test_a_time_is_on_some_days_of_the_week"),
        (wrong.DayAfterDay, "test_missed_times_are_made_up_for_by_one_run"),
        (wrong.ByTheHourHand, "test_clocks_that_are_changed_make_no_run_more_or_less"),
    ],
)
async def test_the_suite_notices_schedules(
    mistake: type[PostgresSchedules], test: str, database: Database, other_database: Database, clock: RedisClock
) -> None:
    given: dict[str, Any] = {
        "schedules": mistake(database, clock, ZONE, lease=LEASE),
        "second": mistake(other_database, clock, ZONE, lease=LEASE),
        "clock": clock,
    }
    lease = "3600" if mistake is wrong.KeepsItForEver else str(LEASE)
    given["start_process"] = partial(bus_process.run, SCHEDULES_PROGRAM, database.dsn, lease)
    names = getattr(SchedulesContract, test).__annotations__
    await assert_contract_fails(
        SchedulesContract,
        test,
        patience=5.0 if "killed" in test else 1.0,
        **{name: given[name] for name in given if name in names},
    )


# ── blobs ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp-") as path:
        yield Path(path)


class TestFolderBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self, folder: Path) -> FolderBlobs:
        return FolderBlobs(folder / "blobs", concurrency=16)


async def test_nothing_is_left_beside_the_blobs(folder: Path) -> None:
    blobs = FolderBlobs(folder)
    await asyncio.gather(*(blobs.put({"a/same": b"data", f"a/{n}": b""}) for n in range(5)))
    with pytest.raises(OSError, match="a/same"):
        await blobs.put({"a/same/deeper": b""})
    left = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}  # noqa: ASYNC240
    assert sorted(left) == ["0", "1", "2", "3", "4", "a", "same"]
    assert blobs.url("a/same") == "/media/a/same"
    assert left["same"] == 0o644


@pytest.mark.parametrize(
    ("mistake", "test", "arguments"),
    [
        (wrong.CutsBlobs, "test_what_is_put_is_got", {}),
        (wrong.ReadsOn, "test_a_file_is_read_from_its_beginning_by_parts_and_left_open", {}),
        (wrong.ReadsAll, "test_a_file_is_read_from_its_beginning_by_parts_and_left_open", {}),
        (wrong.ClosesFiles, "test_a_file_is_read_from_its_beginning_by_parts_and_left_open", {}),
        (wrong.ListsByFolder, "test_what_is_put_is_listed_in_order_page_by_page", {}),
        (wrong.ListsWholeFolders, "test_a_listing_is_of_a_prefix", {}),
        (wrong.ListsWhatWas, "test_what_is_deleted_is_not_listed", {}),
        (wrong.MissingIsEmpty, "test_what_is_not_there_is_none", {}),
        (wrong.WritesOnce, "test_a_repeat_changes_nothing", {}),
        (wrong.DeletesTheFirst, "test_what_is_deleted_is_gone", {}),
        (wrong.HidesTheKey, "test_a_url_has_the_key", {}),
        (wrong.GoesAnywhere, "test_a_bad_key_is_refused", {"key": "a//b"}),
        (wrong.WritesInPlace, "test_a_reader_never_sees_a_part", {}),
        (
            wrong.TakesAnyType,
            "test_a_key_that_says_another_type_is_refused",
            {"keys": ("a/good.webp",), "content_type": "text/html"},
        ),
        (
            wrong.ChecksOneByOne,
            "test_a_key_that_says_another_type_is_refused",
            {"keys": ("a/good.webp", "a/page.html"), "content_type": "image/webp"},
        ),
    ],
)
async def test_the_suite_notices_blobs(mistake: type[FolderBlobs], test: str, arguments: dict[str, Any], folder: Path) -> None:
    await assert_contract_fails(BlobsContract, test, blobs=mistake(folder, concurrency=16, durable=False), **arguments)
