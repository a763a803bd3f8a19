from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace_core.adapters.arq import ArqQueue
from marketplace_core.adapters.postgres import Connection, Database, json_text
from marketplace_core.adapters.postgres.outbox import PostgresOutbox, _PostgresLanes
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.outbox import Outbox
from marketplace_core.ports import KeyParked, Units
from marketplace_core.testing.contracts import Happened, assert_contract_fails, eventually, fixtures_of
from marketplace_core.testing.contracts.outbox import OutboxContract, Unit, commit_all, consecutive
from marketplace_core.testing.contracts.parking import NAME, Handler, ParkingContract
from marketplace_core.testing.contracts.units import Probe, happened, sent
from tests.contracts import wrong_outbox as wrong


@pytest.fixture
async def other_database(database: Database) -> AsyncIterator[Database]:
    """The same database, as another process has it."""
    other = Database(database.dsn)
    yield other
    await other.close()


@pytest.fixture
def second(other_database: Database) -> PostgresOutbox:
    return PostgresOutbox(other_database)


@pytest.mark.behaviour("events-1")
class TestPostgresOutbox(OutboxContract):
    pass


@pytest.mark.behaviour("events-2")
class TestPostgresParking(ParkingContract):
    pass


_units = st.tuples(st.lists(st.sampled_from(["a", "b", "c"]), max_size=4), st.booleans())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(_units, max_size=12))
async def test_sequences_are_consecutive_whatever_is_committed_at_once(
    plan: list[Unit], database: Database, units: Units, outbox: Outbox
) -> None:
    await database.execute("TRUNCATE marketplace.outbox, marketplace.aggregates")
    await commit_all(units, plan)
    async with outbox.lanes() as lanes:
        consecutive(await lanes.pending(10_000), plan)


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.CountsPerUnit, "test_sequences_are_consecutive_from_1"),
        (wrong.NumbersAUnit, "test_sequences_are_consecutive_from_1"),
        (wrong.MixesTopics, "test_a_row_holds_the_event"),
        (wrong.TellsNoWriter, "test_a_row_tells_its_writer"),
        (wrong.OwnsEveryLane, "test_a_lane_has_one_owner"),
        (wrong.NeverTakesAgain, "test_the_lanes_of_who_left_are_taken_over"),
        (wrong.MarksNothing, "test_what_is_marked_is_gone"),
        (wrong.TellsNobody, "test_a_commit_wakes_the_relay"),
        (wrong.MixesTopics, "test_the_relay_publishes_and_queues"),
        (wrong.MarksNothing, "test_events_that_nobody_wants_are_only_marked"),
        (wrong.ReadsTheNewestFirst, "test_two_relays_keep_the_order_per_key"),
        (wrong.MarksWhatItReads, "test_a_publish_that_was_torn_is_made_again_from_its_beginning"),
        (wrong.MarksWhatItReads, "test_rows_are_marked_after_the_bus_has_them"),
    ],
)
async def test_the_suite_notices_outboxes(
    mistake: type[Any],
    test: str,
    database: Database,
    other_database: Database,
    movable_clock: RedisClock,
    bus: RedisBus,
    jobs: ArqQueue,
) -> None:
    units = mistake if issubclass(mistake, PostgresUnits) else PostgresUnits
    outbox = mistake if issubclass(mistake, PostgresOutbox) else PostgresOutbox
    fixtures: dict[str, Any] = {
        "units": units(database, movable_clock, "contract"),
        "outbox": outbox(database),
        "second": outbox(other_database),
        "bus": bus,
        "jobs": jobs,
    }
    names = getattr(OutboxContract, test).__annotations__
    these = {name: fixtures[name] for name in fixtures if name in names}
    await assert_contract_fails(OutboxContract, test, patience=5.0 if "two_relays" in test or "torn" in test else 1.0, **these)


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.ParksTheEventOnly, "test_a_failing_key_is_parked_and_others_go_on"),
        (wrong.ForgetsWhatWaits, "test_a_failing_key_is_parked_and_others_go_on"),
        (wrong.NamesByPackage, "test_what_is_parked_is_found_by_the_plugins_name"),
        (wrong.ParksTheEventOnly, "test_an_envelope_that_cannot_be_read_waits_with_its_key"),
        (wrong.ReplaysTheFirstOnly, "test_an_event_of_a_newer_version_is_applied_after_the_upgrade"),
        (wrong.KeepsItEachTime, "test_what_has_no_key_is_kept_with_its_bytes"),
        (wrong.CutsWhatItKeeps, "test_what_has_no_key_is_kept_with_its_bytes"),
        (wrong.ForgetsHowFarItCame, "test_what_can_be_read_at_last_is_applied_or_told_of"),
        (wrong.MixesWriters, "test_the_keys_of_two_writers_wait_each_for_itself"),
        (wrong.ReplaysTheFirstOnly, "test_a_replay_goes_on_in_order"),
        (wrong.ReplaysBackwards, "test_a_replay_goes_on_in_order"),
        (wrong.GivesUpOnFailures, "test_a_replay_that_fails_keeps_the_key"),
        (wrong.GivesUpOnFailures, "test_a_second_failure_counts"),
        (wrong.DropsByReplay, "test_a_drop_leaves_one_out"),
        (wrong.OverwritesWhatIsParked, "test_what_is_delivered_again_changes_nothing"),
        (wrong.QueuesAlways, "test_nothing_is_queued_behind_a_free_key"),
        (wrong.ParksOnlyKnownKeys, "test_the_first_event_of_a_key_can_be_parked"),
        (wrong.BlamesTheEvent, "test_a_store_that_is_away_parks_nothing_again"),
        (wrong.AsksAPerson, "test_who_is_away_holds_up_one_key_only"),
        (wrong.NeverTriesAgain, "test_what_was_put_aside_goes_on_by_itself"),
        (wrong.WaitsForEverybody, "test_who_is_still_away_holds_up_nobody"),
        (wrong.ForgetsWhoStandsBehind, "test_what_stands_behind_goes_on_by_itself_too"),
        (wrong.CountsWhoStandsBehind, "test_what_is_put_aside_behind_a_failed_event_waits_with_it"),
        (wrong.ShowsEverybodys, "test_others_are_not_shown_or_released"),
    ],
)
async def test_the_suite_notices_parkings(
    mistake: type[PostgresParking],
    test: str,
    database: Database,
    units: Units,
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"parking": mistake(database), "units": units, "probe": probe, "monkeypatch": monkeypatch}
    await assert_contract_fails(ParkingContract, test, patience=2.0, **fixtures_of(ParkingContract, test, given))


async def test_a_key_whose_releaser_died_at_the_last_step_goes_on(
    database: Database, units: Units, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    parking, handler = PostgresParking(database), Handler(units, probe)
    await parking.defer(NAME, sent(happened("a", 1)), "Unavailable")

    async def die(*_: Any) -> bool:
        raise RuntimeError("the process dies here")

    async def died() -> bool:
        try:
            await parking.release(handler.subscriptions)
        except RuntimeError:
            return True
        return False

    with monkeypatch.context() as patch:
        patch.setattr(PostgresParking, "unpark", die)
        await eventually(died)
    with pytest.raises(KeyParked):
        await handler(happened("a", 2))
    assert await parking.append(NAME, sent(happened("a", 2)))
    assert await parking.backlog([NAME]) == 1
    assert await parking.release(handler.subscriptions) == 1
    assert await probe.written() == ["a1", "a2"]
    assert await handler(happened("a", 3))


async def test_what_release_0_1_0_left_goes_on(database: Database, units: Units, probe: Probe) -> None:
    """Its rows tell no writer, and of a parked event no type; what it sent, and what came after it, waits behind that."""
    parking, handler = PostgresParking(database), Handler(units, probe)
    await database.execute(
        "INSERT INTO marketplace.inbox (handler, key, sequence, parked_at) VALUES ($1, 'contract:a', 1, now()),"
        " ($1, 'contract:b', 5, NULL)",
        NAME,
    )
    await database.execute(
        "INSERT INTO marketplace.parked (id, handler, key, sequence, envelope, error, attempts)"
        " VALUES ($1 || ':2', $1, 'contract:a', 2, $2, 'ValueError: bad', 5)",
        NAME,
        json_text(happened("a", 2)),
    )
    with pytest.raises(KeyParked):
        await handler(happened("a", 3, writer="one"))
    assert await parking.append(NAME, sent(happened("a", 3, writer="one")))
    (head,) = await parking.list([NAME])
    assert (head.type, head.sequence, head.waiting) == (Happened.type, 2, 1)
    await parking.request(head.id, drop=False)
    assert await parking.release(handler.subscriptions) == 2
    assert not await handler(happened("b", 5, writer="one"))
    assert await handler(happened("b", 6, writer="one"))
    assert await probe.written() == ["a2", "a3", "b6"]


async def test_what_is_queued_while_the_head_goes_is_left_to_nobody(database: Database, units: Units, probe: Probe) -> None:
    """It looks for a head, which is there still, waits for the key, and is written when the head and its releaser are gone."""
    parking, handler = PostgresParking(database), Handler(units, probe)
    await parking.defer(NAME, sent(happened("a", 1)), "Unavailable")

    async def release(connection: Connection) -> asyncio.Task[bool]:
        """Holds the key, as the event's own transaction does, until the other waits for it."""
        await connection.execute("SELECT FROM marketplace.inbox WHERE handler = $1 FOR UPDATE", NAME)
        queued = asyncio.create_task(parking.append(NAME, sent(happened("a", 2))))
        await eventually(lambda: _waiting(database))
        await connection.execute("DELETE FROM marketplace.parked")
        return queued

    assert await (await database.transact(release))
    assert await parking.backlog([NAME]) == 1
    (parked,) = await parking.list([NAME])
    assert parked.retry_at is not None
    assert await parking.release(handler.subscriptions) == 1
    assert await probe.written() == ["a2"]


async def _waiting(database: Database) -> bool:
    """Whether a session of this database waits for a lock."""
    return bool(
        await database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


async def test_who_could_not_mark_leaves_the_lanes_all_the_same(
    outbox: PostgresOutbox, second: PostgresOutbox, units: Units
) -> None:
    """Its session goes back into the pool, where it would keep them until the process ends."""
    await commit_all(units, [(["a"], True)])

    async with outbox.lanes() as lanes:
        assert isinstance(lanes, _PostgresLanes)
        await lanes.mark([row.id for row in await lanes.pending(10)])
        await lanes._connection.execute("SET default_transaction_read_only = on")  # as a standby is
    async with second.lanes() as lanes:
        assert len(await lanes.pending(10)) == 1, "it is sent again, by whoever has the lane"
