from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from marketplace_core.adapters.dbos import rows, threads
from marketplace_core.adapters.dbos.connections import library
from marketplace_core.adapters.dbos.engine import DbosSagas
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.testing.contracts import assert_contract_fails, eventually
from marketplace_core.testing.contracts.sagas import SagaContract
from marketplace_core.testing.contracts.sagas_acts import (
    GIVEN_UP,
    MENDED,
    Answered,
    Began,
    StartRunner,
    mistaken,
    straight,
    waiting,
)
from marketplace_core.testing.contracts.sagas_runner import EngineContract, EngineRunner, MakeEngine, PostgresActs
from tests.contracts import bus_process
from tests.contracts import wrong_sagas as wrong

PROGRAM = str(Path(__file__).with_name("dbos_runner.py"))


class TestDbos(EngineContract):
    @pytest.fixture
    def make_engine(self) -> MakeEngine:
        return DbosSagas

    @pytest.fixture
    def start_runner(self, database: Database, redis_lasting_url: str) -> StartRunner:
        return partial(bus_process.run, PROGRAM, database.dsn, redis_lasting_url)


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.each_backwards, "test_calls_are_made_in_order_with_their_answers"),
        (wrong.one_key_per_saga, "test_each_call_has_its_own_key"),
        (wrong.begins_again, "test_one_id_begins_once"),
        (wrong.undoes_forwards, "test_a_refusal_undoes_in_reverse"),
        (wrong.keeps_what_it_regrets, "test_a_saga_may_refuse_by_itself"),
        (wrong.takes_unknown_for_refused, "test_what_is_unknown_is_asked_again_by_the_same_key"),
        (wrong.a_new_key_per_try, "test_what_is_unknown_is_asked_again_by_the_same_key"),
        (wrong.takes_unknown_undos_for_done, "test_an_undo_that_is_unknown_is_asked_again"),
        (wrong.takes_its_time, "test_a_call_has_its_own_time_and_pauses"),
        (wrong.pauses_as_ever, "test_a_call_has_its_own_time_and_pauses"),
        (wrong.tells_of_the_end_only, "test_the_journal_is_told_of_every_step"),
        (wrong.knows_of_no_steps, "test_an_engine_says_what_it_knows"),
        (wrong.has_no_pivot, "test_after_the_pivot_a_refusal_waits_for_a_person"),
        (wrong.gives_up_undoing, "test_an_undo_that_is_refused_waits_for_a_person"),
        (wrong.forgets_at_the_pivot, "test_a_person_may_compensate_after_the_pivot"),
        (wrong.forgets_after_the_pivot, "test_what_is_done_after_the_pivot_is_compensated_too"),
        (wrong.ends_where_it_refuses, "test_what_a_saga_refuses_after_the_pivot_waits_for_a_person"),
        (wrong.tells_a_decision_twice, "test_who_compensates_twice_compensates_once"),
        (wrong.stops_where_an_undo_is_left_out, "test_a_person_may_leave_an_undo_out"),
        (wrong.takes_giving_up_for_a_deadline, "test_a_saga_that_waits_for_a_signal_may_be_compensated"),
        (wrong.compensates_anybody, "test_who_does_not_wait_cannot_be_compensated"),
        (wrong.is_deaf, "test_a_signal_ends_a_wait"),
        (wrong.hears_everything_twice, "test_a_signal_counts_once"),
        (wrong.believes_in_every_saga, "test_nobody_hears_a_signal_to_no_saga"),
        (wrong.has_a_clock_of_its_own, "test_a_deadline_is_by_the_deployments_clock"),
        (wrong.mixes_up_deadlines, "test_a_deadline_that_is_past_has_no_claim_on_the_next_wait"),
        (wrong.runs_the_newest, "test_versions_run_side_by_side"),
        (wrong.leaves_alone_what_failed, "test_what_failed_goes_on_where_it_did"),
        (wrong.begins_what_failed_anew, "test_what_failed_goes_on_where_it_did"),
        (wrong.leaves_alone_what_failed, "test_what_fails_again_can_be_tried_again"),
        (wrong.only_tries_again, "test_what_failed_may_be_compensated"),
        (wrong.leaves_alone_what_failed, "test_what_is_mended_meanwhile_goes_on"),
        (wrong.undoes_forwards, "test_any_saga_goes_as_the_model_says"),
        (wrong.has_no_pivot, "test_any_saga_goes_as_the_model_says"),
        (wrong.forgets_after_the_pivot, "test_any_saga_goes_as_the_model_says"),
    ],
)
async def test_the_suite_notices(
    mistake: wrong.Mistake,
    test: str,
    database: Database,
    acts: PostgresActs,
    clock: RedisClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mistake(monkeypatch)
    runner = EngineRunner(DbosSagas, database, acts, clock)
    given: dict[str, Any] = {"runner": runner, "acts": acts, "clock": clock}
    names = getattr(EngineContract, test).__annotations__
    async with runner.running():
        fixtures = {name: given[name] for name in given if name in names}
        await assert_contract_fails(EngineContract, test, patience=1.5, **fixtures)


@pytest.mark.parametrize("mistake", [wrong.records_nothing, wrong.reads_the_clock_again])
async def test_the_suite_notices_after_a_kill(
    mistake: wrong.Mistake, database: Database, acts: PostgresActs, clock: RedisClock, redis_lasting_url: str
) -> None:
    def start(saga_id: str) -> AbstractAsyncContextManager[bus_process.RedisProcess]:
        return bus_process.run(PROGRAM, database.dsn, redis_lasting_url, saga_id, mistake.__name__)

    test = "test_a_killed_process_is_taken_over_where_it_was"
    await assert_contract_fails(SagaContract, test, patience=6.0, acts=acts, start_runner=start, clock=clock)


async def test_a_saga_that_its_engine_leaves_running_has_not_failed(
    database: Database, acts: PostgresActs, clock: RedisClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is answered after the engine's end cannot be recorded: it is no mistake, and nobody is to look."""
    reached, answer = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        reached.set()
        await answer.wait()

    monkeypatch.setattr(acts, "_act", slow)
    runner = EngineRunner(DbosSagas, database, acts, clock)
    before = asyncio.all_tasks()
    with capture_logs() as logs:
        async with runner.running():
            await runner.start(straight, Began(id="left"))
            await reached.wait()
        left = asyncio.all_tasks() - before
        answer.set()
        await asyncio.wait(left, timeout=10)
    assert left, "the saga was still running"
    assert [log for log in logs if log["event"] == "saga.failed"] == []


async def test_a_saga_outlives_any_number_of_workers(database: Database, acts: PostgresActs, clock: RedisClock) -> None:
    """The engine counts how often a saga was taken up again, and would give it up for its workers' deaths."""
    runner = EngineRunner(DbosSagas, database, acts, clock)
    async with runner.running():
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        await runner.signal(Answered(id="s1", text="yes"), "1")
        await eventually(partial(_did, acts, ["do yes"]))
    await database.execute("UPDATE dbos.workflow_status SET recovery_attempts = 100000")
    async with runner.running():
        await runner.signal(Answered(id="s1", text="still"), "2")
        await eventually(partial(_did, acts, ["do yes", "do still"]))


async def test_what_is_sent_while_none_listens_is_heard_of(database: Database, acts: PostgresActs, clock: RedisClock) -> None:
    """As between the launch of an engine and its thread's first ``LISTEN``: nothing is told of it later."""
    runner = EngineRunner(DbosSagas, database, acts, clock)
    async with runner.running():
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        await runner.signal(Answered(id="s1", text="1"), "1")
        await eventually(partial(_did, acts, ["do 1"]))
        await asyncio.sleep(0.2)  # it waits by now
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        of_listener = "WHERE datname = current_database() AND query LIKE 'LISTEN dbos_%'"
        assert await database.value(f"{ended} {of_listener}") == 1
        await runner.signal(Answered(id="s1", text="2"), "2")
        await eventually(partial(_did, acts, ["do 1", "do 2"]))


async def test_a_saga_that_an_ending_engine_began_is_taken_up(
    database: Database, acts: PostgresActs, clock: RedisClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the next one had looked for what was left: as a worker does that lost its lease and is slow to end."""
    monkeypatch.setattr(rows, "STRAY_SECONDS", 0.5)
    runner = EngineRunner(DbosSagas, database, acts, clock)
    async with runner.running():
        for id_ in ("s1", "s2"):
            await runner.start(waiting, Began(id=id_, until=clock.after(3600)))
    await database.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED' WHERE workflow_uuid = 's1'")
    async with runner.running():
        await asyncio.sleep(1.0)
        await database.execute("UPDATE dbos.workflow_status SET status = 'PENDING', updated_at = 0 WHERE workflow_uuid = 's1'")
        for key in ("1", "2"):
            await runner.signal(Answered(id="s1", text=key), key)
        await eventually(partial(_is, runner, "done"))
        assert await acts.done("s1") == ["do 1", "do 2"]
        assert set(_engine(runner)._running) == {"s2"}, "one that runs is left alone"


async def test_a_saga_that_is_taken_up_while_it_runs_goes_on_once(
    database: Database, acts: PostgresActs, clock: RedisClock
) -> None:
    runner = EngineRunner(DbosSagas, database, acts, clock)
    with capture_logs() as logs:
        async with runner.running():
            await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
            await eventually(partial(database.value, "SELECT count(*) FROM public.waits"))
            await asyncio.sleep(0.5)  # it waits by now
            await library().DBOS.resume_workflow_async("s1")
            threads.look_for_work()
            await eventually(partial(_runs, runner, 2))
            await runner.signal(Answered(id="s1", text="1"), "1")
            await eventually(partial(_did, acts, ["do 1"]))
            await eventually(partial(_runs, runner, 1), within=70)  # the other one may hear of it when it asks by itself
            await runner.signal(Answered(id="s1", text="2"), "2")
            await eventually(partial(_is, runner, "done"))
            await eventually(partial(_runs, runner, 0))
    assert await acts.done("s1") == ["do 1", "do 2"]
    assert [log for log in logs if log["event"] == "saga.failed"] == []


async def test_a_saga_that_is_undone_after_a_mistake_outlives_its_worker(
    database: Database, acts: PostgresActs, clock: RedisClock
) -> None:
    """The replay fails again at the same place, and finds there that it was given up."""
    MENDED.discard("s1")
    runner = EngineRunner(DbosSagas, database, acts, clock)
    await acts.fail("s1", "undo a", "refuse")
    async with runner.running():
        await runner.start(mistaken, Began(id="s1", until=clock.after(3600)))
        await eventually(partial(_is, runner, "failed"))
        assert await runner.compensate("s1")
        await eventually(partial(_is, runner, "waiting"))
    async with runner.running():
        assert await runner.retry("s1")
        await eventually(partial(_is, runner, "refused"))
    assert await acts.done("s1") == ["do a", "undo a", GIVEN_UP]


async def test_a_saga_outlives_a_database_that_takes_no_writes(
    database: Database, acts: PostgresActs, clock: RedisClock
) -> None:
    """As one does that became a standby, until somebody leads to the new first one."""
    runner = EngineRunner(DbosSagas, database, acts, clock)
    async with runner.running():
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        await runner.signal(Answered(id="s1", text="yes"), "1")
        await eventually(partial(_did, acts, ["do yes"]))
        await _take_writes(database, takes=False)
        signalled = asyncio.create_task(runner.signal(Answered(id="s1", text="still"), "2"))
        await asyncio.sleep(2)
        await _take_writes(database, takes=True)
        assert await signalled
        await eventually(partial(_did, acts, ["do yes", "do still"]), within=30)  # the library's own pauses after an error
        await eventually(partial(_is, runner, "done"))


def _engine(runner: EngineRunner) -> DbosSagas:
    assert isinstance(runner.engine, DbosSagas)
    return runner.engine


async def _runs(runner: EngineRunner, times: int) -> bool:
    return _engine(runner)._running["s1"] == times


async def _is(runner: EngineRunner, status: str) -> bool:
    return await runner.status("s1") == status


async def _take_writes(database: Database, *, takes: bool) -> None:
    """For every session, new ones only: the others end."""
    name = await database.value("SELECT current_database()::text")
    async with database.connection() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {"off" if takes else "on"}')
    await database.fetch(
        "SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", name
    )


async def _did(acts: PostgresActs, done: list[str]) -> bool:
    return await acts.done("s1") == done


async def test_an_engine_at_rest_asks_nothing(database: Database, acts: PostgresActs, clock: RedisClock) -> None:
    """While a saga waits, too. Its library has threads that look each second, or a hundred times, for what we do not use."""
    engine = EngineRunner(DbosSagas, database, acts, clock).engine
    asked = (
        "SELECT max(query_start) AS asked FROM pg_stat_activity"
        " WHERE datname = current_database() AND query NOT LIKE '%pg_stat_activity%'"
    )
    await engine.launch()
    try:
        await engine.start(waiting, "s1", msgspec.json.encode(Began(id="s1", until=clock.after(3600))).decode())
        await eventually(partial(database.value, "SELECT count(*) FROM public.waits"))
        await asyncio.sleep(1.5)
        before = await database.value(asked)
        await asyncio.sleep(3)
        assert await database.value(asked) == before
    finally:
        await engine.close()
