"""Core's suites on MongoDB; and what is MongoDB's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from marketplace_core.adapters.mongo import Database
from marketplace_core.adapters.mongo.outbox import MongoOutbox
from marketplace_core.adapters.mongo.parking import MongoParking
from marketplace_core.adapters.mongo.schedules import MongoSchedules
from marketplace_core.adapters.mongo.units import MongoUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.ports import UnitOfWork, Units
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of
from marketplace_core.testing.contracts.outbox import OutboxContract
from marketplace_core.testing.contracts.parking import ParkingContract
from marketplace_core.testing.contracts.schedules import LEASE, ZONE, SchedulesContract, StartProcess
from marketplace_core.testing.contracts.units import Probe, UnitsContract
from tests.contracts import bus_process
from tests.contracts import wrong_mongo as wrong

pytestmark = pytest.mark.xdist_group("mongo")

SCHEDULES_PROGRAM = str(Path(__file__).with_name("mongo_schedules_process.py"))


class MongoProbe(Probe):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, uow: UnitOfWork, text: str) -> None:
        await self._database.on(uow).insert("contract.rows", [{"text": text}])

    async def written(self) -> list[str]:
        return [row["text"] for row in await self._database.find("contract.rows", {}, sort=[("_id", 1)])]

    async def outgoing(self) -> list[str]:
        return [row["type"] for row in await self._database.find("marketplace.outbox", {}, sort=[("_id", 1)])]


@pytest.fixture
async def probe(mongo_database: Database) -> MongoProbe:
    await mongo_database.command({"create": "contract.rows"})
    return MongoProbe(mongo_database)


@pytest.fixture
def units(mongo_database: Database, movable_clock: RedisClock) -> Units:
    return MongoUnits(mongo_database, movable_clock, "contract", frozenset({"contract"}))


@pytest.fixture
def other_units(mongo_database: Database, movable_clock: RedisClock) -> Units:
    return MongoUnits(mongo_database, movable_clock, "other")


@pytest.fixture
def outbox(mongo_database: Database) -> MongoOutbox:
    return MongoOutbox(mongo_database)


@pytest.fixture
async def other_database(mongo_database: Database) -> AsyncIterator[Database]:
    """The same database, as another process has it."""
    other = Database(mongo_database.url)
    yield other
    await other.close()


@pytest.fixture
def second(other_database: Database) -> MongoOutbox:
    return MongoOutbox(other_database)


@pytest.fixture
def parking(mongo_database: Database) -> MongoParking:
    return MongoParking(mongo_database)


@pytest.mark.behaviour("all-1")
class TestMongoUnits(UnitsContract):
    examples = 12  # a commit is on the disk here


@pytest.mark.behaviour("events-1")
class TestMongoOutbox(OutboxContract):
    pass


@pytest.mark.behaviour("events-2")
class TestMongoParking(ParkingContract):
    pass


class TestMongoSchedules(SchedulesContract):
    @pytest.fixture
    def clock(self, movable_clock: RedisClock) -> RedisClock:
        return movable_clock

    @pytest.fixture
    def start_process(self, mongo_database: Database) -> StartProcess:
        return partial(bus_process.run, SCHEDULES_PROGRAM, mongo_database.url, str(LEASE))

    @pytest.fixture
    def schedules(self, mongo_database: Database, clock: RedisClock) -> MongoSchedules:
        return MongoSchedules(mongo_database, clock, ZONE, lease=LEASE)

    @pytest.fixture
    def second(self, other_database: Database, clock: RedisClock) -> MongoSchedules:
        return MongoSchedules(other_database, clock, ZONE, lease=LEASE)


@pytest.mark.parametrize(
    ("suite", "mistake", "test"),
    [
        (UnitsContract, wrong.WritesOutside, "test_a_unit_is_all_or_nothing"),
        (UnitsContract, wrong.WritesOutside, "test_a_handler_that_fails_has_applied_nothing"),
        (UnitsContract, wrong.ForgetsRefusals, "test_a_refusal_is_the_answer"),
        (UnitsContract, wrong.AppliesAlways, "test_an_event_is_applied_once"),
        (OutboxContract, wrong.RunsOnce, "test_sequences_are_consecutive_from_1"),
        (OutboxContract, wrong.CountsPerUnit, "test_sequences_are_consecutive_from_1"),
        (OutboxContract, wrong.OwnsEveryLane, "test_a_lane_has_one_owner"),
        (OutboxContract, wrong.TellsNobody, "test_a_commit_wakes_the_relay"),
        (ParkingContract, wrong.ParksTheEventOnly, "test_a_failing_key_is_parked_and_others_go_on"),
    ],
)
async def test_the_suites_notice(
    suite: type[Any],
    mistake: type[Any],
    test: str,
    mongo_database: Database,
    other_database: Database,
    movable_clock: RedisClock,
    probe: MongoProbe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(kind: type[Any]) -> type[Any]:
        return mistake if issubclass(mistake, kind) else kind

    given = {
        "units": made(MongoUnits)(mongo_database, movable_clock, "contract", frozenset({"contract"})),
        "outbox": made(MongoOutbox)(mongo_database),
        "second": made(MongoOutbox)(other_database),
        "parking": made(MongoParking)(mongo_database),
        "probe": probe,
        "monkeypatch": monkeypatch,
    }
    await assert_contract_fails(suite, test, patience=2.0, **fixtures_of(suite, test, given))
