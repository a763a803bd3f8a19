"""Sagas from their first event to their end, and what a person sees of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from marketplace_orchestrator.stores.postgres import PostgresOrchestratorStore

from marketplace_core.adapters.dbos.rows import EngineRows
from marketplace_core.adapters.postgres import Connection
from marketplace_core.capabilities.orchestrator import SagaQuery
from marketplace_core.errors import Unavailable
from marketplace_core.sagas import Performer, StepCall, StepResult
from marketplace_core.testing.contracts import eventually


async def test_an_event_that_comes_again_begins_nothing(stage: Any, events: Any) -> None:
    async with stage.running("steps"):
        assert await stage.hear(events["begun"](thing="a"), sequence=1)
        assert not await stage.hear(events["begun"](thing="a"), sequence=1)
        await stage.until("a", "done")
        # The process died after the engine had begun it, and before the handler's transaction was committed.
        await stage.database.execute("DELETE FROM marketplace.inbox")
        await stage.database.execute("DELETE FROM orchestrator.sagas")
        assert await stage.hear(events["begun"](thing="a"), sequence=1)
        await stage.until("a", "done")
    assert stage.acts.done == [("a", "first"), ("a", "second")]


async def test_history_that_is_imported_begins_nothing(stage: Any, events: Any) -> None:
    async with stage.running("steps") as service:
        assert not await stage.hear(events["begun"](thing="a"), origin="import")
        assert (await service.list_sagas(SagaQuery())).items == []
        assert await service.runnable() == 0


async def test_the_engines_tables_are_on_our_database(stage: Any) -> None:
    service = stage.build(["steps"])
    assert (await service.list_sagas(SagaQuery())).items == []  # before any engine ran
    assert await service.runnable() == 0
    made = "SELECT to_regclass('dbos.workflow_status') IS NOT NULL AS made"
    assert not await stage.database.value(made)
    async with stage.running("steps"):
        await eventually(lambda: stage.database.value(made))


async def test_the_engine_begins_beside_open_transactions(stage: Any, events: Any) -> None:
    """It builds indexes that wait for every transaction of the database, of this process too."""

    async def slow(connection: Connection) -> None:
        await connection.execute("SELECT txid_current()::text")
        await asyncio.sleep(0.5)
        await connection.execute("SELECT txid_current()::text")

    service = stage.build(["steps"])
    hearing = asyncio.create_task(stage.hear(events["begun"](thing="a")))  # there is no engine yet
    working = asyncio.create_task(stage.database.transact(slow))
    await asyncio.sleep(0.1)
    engine = asyncio.create_task(service.run_engine())
    try:
        assert await asyncio.wait_for(hearing, 20)
        await stage.until("a", "done")
    finally:
        engine.cancel()
        await asyncio.gather(engine, working, return_exceptions=True)


# ── a person ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["note_try", "record", "add_wait", "end_wait", "park"])
async def test_a_database_that_is_away_for_a_moment_ends_no_saga(
    stage: Any, events: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written beside the engine's own steps fails once."""
    stage.acts.lose["first"] = 1
    stage.acts.refuse["second"] = 1
    right, failures = getattr(PostgresOrchestratorStore, method), [Unavailable(), OSError()]

    async def away(self: Any, *args: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return await right(self, *args, **named)

    monkeypatch.setattr(PostgresOrchestratorStore, method, away)
    async with stage.running("steps", "waits") as service:
        await stage.hear(events["begun"](thing="a"))
        await stage.until("a", "waiting")
        await service.retry("a")
        await stage.until("a", "done")
        await eventually(stage.waiting_since)
        await stage.hear(events["answered"](thing="a"))
        await stage.until("a:rehearsal.waits", "done")
    assert len(failures) < 2


# ── signals and deadlines ────────────────────────────────────────────────────────────────────────────────────


async def test_a_saga_that_was_told_before_it_asked_can_go_on(stage: Any, events: Any) -> None:
    """Whoever waits until nothing is runnable must not miss it."""
    stage.acts.held = {"before": asyncio.Event(), "yes": asyncio.Event()}
    async with stage.running("waits") as service:
        await stage.hear(events["begun"](thing="a"))
        await stage.hear(events["answered"](thing="a"))
        stage.acts.held["before"].set()
        seen = set()

        async def past_the_wait() -> bool:
            seen.add(await service.runnable())
            return bool(await stage.database.value("SELECT count(*) FROM orchestrator.waits WHERE state = 'over'"))

        await eventually(past_the_wait)
        assert seen == {1}
        stage.acts.held["yes"].set()
        await stage.until("a", "done")


@pytest.mark.behaviour("payments-2")
async def test_a_deadline_is_by_the_deployments_clock(stage: Any, events: Any) -> None:
    async with stage.running("waits") as service:
        await stage.hear(events["begun"](thing="a"))
        [due] = await eventually(stage.waiting_since)
        await stage.clock.advance(14 * 60)
        await asyncio.sleep(0.3)
        assert (await service.get_saga("a")).status == "running" and await service.runnable() == 0
        await stage.clock.set(due)
        assert await service.runnable() == 1
        await stage.until("a", "done")
        assert stage.acts.done == [("a", "before"), ("a", "too late")]
        await stage.hear(events["answered"](thing="a"))
        assert stage.acts.done[2:] == []


@pytest.mark.behaviour("orchestrator-1", "orchestrator-2")
async def test_versions_run_side_by_side_over_a_restart(stage: Any, events: Any) -> None:
    async with stage.running("waits"):
        await stage.hear(events["begun"](thing="old"))
        await eventually(stage.waiting_since)
    async with stage.running("waits", "waits_2"):
        await stage.hear(events["begun"](thing="new"))
        await eventually(lambda: _both(stage))
        for thing in ("old", "new"):
            await stage.hear(events["answered"](thing=thing))
            await stage.until(thing, "done")
    assert stage.acts.done == [("old", "before"), ("old", "yes"), ("new", "yes to the second")]


async def _both(stage: Any) -> bool:
    return len(await stage.waiting_since()) == 2


async def test_two_sagas_of_one_event(stage: Any, events: Any) -> None:
    async with stage.running("waits", "steps") as service:
        await stage.hear(events["begun"](thing="a"))
        await eventually(stage.waiting_since)
        await stage.hear(events["answered"](thing="a"))
        views = [await stage.until(id_, "done") for id_ in ("a", "a:rehearsal.waits")]
        assert [(view.name, view.key) for view in views] == [("rehearsal.steps", "a"), ("rehearsal.waits", "a")]
        assert sorted(stage.acts.done) == [("a", "before"), ("a", "first"), ("a", "second"), ("a", "yes")]
        listed = (await service.list_sagas(SagaQuery(name="rehearsal.waits"))).items
        assert [one.id for one in listed] == ["a:rehearsal.waits"]


# ── what failed ──────────────────────────────────────────────────────────────────────────────────────────────


def second_step_fails(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an error that nobody takes for an answer."""
    perform, failures = Performer.perform, [RuntimeError("nobody knows this error")] * times

    async def mistaken(self: Performer, call: StepCall, *args: Any) -> StepResult:
        if call.step == "2:act" and failures:
            raise failures.pop()
        return await perform(self, call, *args)

    monkeypatch.setattr(Performer, "perform", mistaken)


async def test_a_step_that_the_engine_recorded_as_failed_is_tried_again(
    stage: Any, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was with an error of its driver that it did not know. An operator finds it, and the log says which it is."""
    second_step_fails(1, monkeypatch)
    with structlog.testing.capture_logs() as logs:
        async with stage.running("steps") as service:
            await stage.hear(events["begun"](thing="a"))
            view = await stage.until("a", "failed")
            statuses = [("1:act", "done"), ("2:act", "failed"), ("mistake", "failed")]
            assert [(step.name, step.status) for step in view.steps] == statuses
            assert await stage.store.count_open(stage.clock.now()) == {("rehearsal.steps", "failed"): 1}
            await service.retry("a")
            await service.retry("a")  # again, by another operator: nothing more
            assert await service.runnable() >= 1
            view = await stage.until("a", "done")
    assert [(step.name, step.status) for step in view.steps] == [("1:act", "done"), ("2:act", "done")]
    assert stage.acts.done == [("a", "first"), ("a", "second")]
    assert [log["saga"] for log in logs if log["event"] == "saga.failed"] == ["a"]


@pytest.mark.parametrize(
    ("decision", "fails", "status", "done"),
    [("retry", 1, "done", [("a", "first"), ("a", "second")]), ("compensate", 2, "refused", [("a", "first")])],
)
async def test_what_is_decided_about_a_failed_saga_outlives_its_worker(
    stage: Any, events: Any, decision: str, fails: int, status: str, done: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which died after the failure was taken back, and before the engine was told to go on."""
    second_step_fails(fails, monkeypatch)
    async with stage.running("steps") as service:
        await stage.hear(events["begun"](thing="a"))
        await stage.until("a", "failed")
    await getattr(service, decision)("a")
    assert await EngineRows(stage.database).take_failure_back("a")
    async with stage.running("steps"):
        await stage.until("a", status)
    assert stage.acts.done == done
