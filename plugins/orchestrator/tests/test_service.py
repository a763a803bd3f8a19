"""Sagas from their first event to their end, and what a person sees of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from marketplace_orchestrator.stores.postgres import PostgresOrchestratorStore

from marketplace_core.adapters.postgres import Connection
from marketplace_core.capabilities.orchestrator import SagaQuery
from marketplace_core.errors import BadCursor, Conflict, NotFound, Unavailable
from marketplace_core.testing.contracts import eventually


async def test_a_saga_runs_to_its_end(stage: Any, events: Any) -> None:
    async with stage.running("steps") as service:
        assert await stage.hear(events["begun"](thing="a"))
        view = await stage.until("a", "done")
        assert (view.id, view.name, view.key) == ("a", "rehearsal.steps", "a")
        assert [(step.name, step.status, step.attempts, step.error) for step in view.steps] == [
            ("1:act", "done", 1, None),
            ("2:act", "done", 1, None),
        ]
        assert stage.acts.done == [("a", "first"), ("a", "second")]
        assert await service.runnable() == 0
        with pytest.raises(NotFound):
            await service.get_saga("b")


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
        assert await stage.hear(events["begun"](thing="a"), origin="import")
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


@pytest.mark.behaviour("orchestrator-1")
async def test_what_is_refused_after_the_pivot_waits_for_a_person(stage: Any, events: Any) -> None:
    stage.acts.refuse["second"] = 2
    async with stage.running("steps") as service:
        await stage.hear(events["begun"](thing="a"))
        for round_ in range(2):
            view = await stage.until("a", "waiting")
            refused = [step for step in view.steps if step.status == "refused"]
            assert [step.error for step in refused] == ["orchestrator.wrong_state"] * (round_ + 1)
            assert await service.runnable() == 0
            listed = await service.list_sagas(SagaQuery(status="waiting"))
            assert [one.id for one in listed.items] == ["a"]
            assert (await service.list_sagas(SagaQuery(status="running"))).items == []
            parked = await stage.database.value("SELECT step FROM orchestrator.parked")
            await service.retry("a")
            await eventually(lambda parked=parked: _moved(stage, parked))
        await stage.until("a", "done")
        assert stage.acts.done == [("a", "first"), ("a", "second")]
        with pytest.raises(Conflict) as error:
            await service.retry("a")
        assert error.value.code == "orchestrator.wrong_state"
        with pytest.raises(NotFound):
            await service.retry("b")


async def _moved(stage: Any, step: str) -> bool:
    return bool(await stage.database.value("SELECT step FROM orchestrator.parked") != step)


async def test_what_is_refused_before_the_pivot_ends(stage: Any, events: Any) -> None:
    stage.acts.refuse["first"] = 1
    async with stage.running("steps") as service:
        await stage.hear(events["begun"](thing="a"))
        view = await stage.until("a", "refused")
        assert [(step.status, step.error) for step in view.steps] == [("refused", "orchestrator.wrong_state")]
        assert [one.id for one in (await service.list_sagas(SagaQuery(status="done"))).items] == ["a"]


@pytest.mark.behaviour("orchestrator-1")
async def test_tries_are_counted_while_nobody_answers(stage: Any, events: Any) -> None:
    stage.acts.lose["first"] = 3
    async with stage.running("steps") as service:
        await stage.hear(events["begun"](thing="a"))

        async def tried_twice() -> bool:
            view = await service.get_saga("a")
            return any((step.name, step.status, step.attempts) == ("1:act", "running", 2) for step in view.steps)

        await eventually(tried_twice)
        [step] = (await service.get_saga("a")).steps
        assert step.error is not None and "Nobody answers." in step.error and step.at is not None
        assert await service.runnable() == 1
        view = await stage.until("a", "done")
        assert [(one.name, one.status, one.attempts) for one in view.steps] == [("1:act", "done", 4), ("2:act", "done", 1)]


@pytest.mark.parametrize("method", ["note_try", "add_wait", "end_wait", "park"])
async def test_a_database_that_is_away_for_a_moment_ends_no_saga(
    stage: Any, events: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written beside the engine's own steps fails once."""
    stage.acts.lose["first"] = 1
    stage.acts.refuse["second"] = 1
    right, failures = getattr(PostgresOrchestratorStore, method), [Unavailable(), OSError()]

    async def away(self: Any, *args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await right(self, *args)

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


async def test_a_signal_ends_a_wait(stage: Any, events: Any) -> None:
    async with stage.running("waits") as service:
        await stage.hear(events["begun"](thing="a"))
        await eventually(stage.waiting_since)
        assert await service.runnable() == 0
        assert (await service.get_saga("a")).status == "running"
        await stage.hear(events["answered"](thing="b"))  # nobody's
        await stage.hear(events["answered"](thing="a"))
        await stage.until("a", "done")
        assert stage.acts.done == [("a", "before"), ("a", "yes")]
        await stage.clock.advance(3600)
        await asyncio.sleep(0.2)
        assert stage.acts.done[2:] == [] and await service.runnable() == 0


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


async def test_pages_of_sagas(stage: Any, events: Any) -> None:
    async with stage.running("steps") as service:
        for n in range(5):
            await stage.hear(events["begun"](thing=f"s{n}"))
        for n in range(5):
            await stage.until(f"s{n}", "done")
        seen, cursor = [], None
        while True:
            page = await service.list_sagas(SagaQuery(limit=2, status="done", cursor=cursor))
            assert all(one.status == "done" and one.steps == [] for one in page.items)
            seen += [one.id for one in page.items]
            if page.next is None:
                break
            cursor = page.next
        assert seen == ["s4", "s3", "s2", "s1", "s0"]
        with pytest.raises(BadCursor):
            await service.list_sagas(SagaQuery(limit=2, cursor=cursor))
