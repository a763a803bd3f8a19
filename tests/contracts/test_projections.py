from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from marketplace_core import outbox
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.ports import ProjectionUnits
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of
from marketplace_core.testing.contracts.projections import Index, ProjectionContract
from tests.contracts import wrong_projections as wrong


class RedisIndex(Index):
    """A list on a server that has nothing to do with what was seen."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def put(self, text: str) -> None:
        await self._redis.rpush("index", text)

    async def written(self) -> list[str]:
        return [row.decode() for row in await self._redis.lrange("index", 0, -1)]


@pytest.fixture
def index(redis_lasting: Redis) -> RedisIndex:
    return RedisIndex(redis_lasting)


@pytest.fixture
def units(parking: PostgresParking, movable_clock: RedisClock) -> ProjectionUnits:
    return ProjectionUnits(parking, movable_clock, "contract")


class TestProjectionUnits(ProjectionContract):
    pass


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.HidesTheSource, "test_the_work_is_told_where_its_event_stands"),
        (wrong.AppliesAlways, "test_only_a_greater_sequence_applies"),
        (wrong.NotesNothing, "test_only_a_greater_sequence_applies"),
        (wrong.SharesItsInbox, "test_handlers_and_writers_count_for_themselves"),
        (wrong.IgnoresTheWriter, "test_handlers_and_writers_count_for_themselves"),
        (wrong.NotesBeforehand, "test_what_failed_has_not_been_seen"),
        (wrong.NotesBeforehand, "test_a_crash_after_the_work_repeats_it"),
        (wrong.TellsBeforehand, "test_a_crash_after_the_work_repeats_it"),
        (wrong.LosesWhatItEmits, "test_it_has_no_outbox_and_keeps_no_answers"),
        (wrong.HoldsTheKey, "test_a_failure_is_put_aside_and_its_key_goes_on"),
        (wrong.SwallowsFailures, "test_a_failure_is_put_aside_and_its_key_goes_on"),
        (wrong.KeepsTheSuperseded, "test_a_later_event_of_the_key_takes_it_off_the_list"),
        (wrong.TakesAllOffTheList, "test_a_later_event_of_the_key_takes_it_off_the_list"),
        (wrong.NotesBeforehand, "test_a_replay_applies_what_nothing_has_superseded"),
        (wrong.NotesNothing, "test_a_replay_overwrites_nothing_newer"),
        (wrong.ForgetsWhatItSaw, "test_a_replay_overwrites_nothing_newer"),
        (wrong.TakesLaterOnesOffTheList, "test_a_later_failure_stays_when_an_earlier_one_is_replayed"),
        (wrong.ForgetsWhatItSaw, "test_a_drop_leaves_one_out"),
        (wrong.NotesBeforehand, "test_who_is_away_is_not_at_fault"),
    ],
)
async def test_the_suite_notices(
    mistake: type[Any],
    test: str,
    database: Database,
    movable_clock: RedisClock,
    index: RedisIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "RETRY_PAUSES", (0.001,))
    monkeypatch.setattr(outbox, "AWAY_PAUSE", 0.001)
    parking = (mistake if issubclass(mistake, PostgresParking) else PostgresParking)(database)
    units = (mistake if issubclass(mistake, ProjectionUnits) else ProjectionUnits)(parking, movable_clock, "contract")
    given = {"units": units, "parking": parking, "index": index}
    await assert_contract_fails(ProjectionContract, test, patience=2.0, **fixtures_of(ProjectionContract, test, given))
