"""Any saga engine with what a deployment has around it, on a PostgreSQL: a journal, a tick for deadlines, and an operator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime

import msgspec
import pytest

from marketplace_core import calls
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.redis.server import connect
from marketplace_core.capabilities import capability_of
from marketplace_core.errors import Failure, PreconditionFailed, Unavailable
from marketplace_core.ports import UnitOfWork, Units, command
from marketplace_core.ports.engine import Journal, SagaEngine, SagaRun, SagaStatus, StepRecord
from marketplace_core.sagas import COMPENSATE, RETRY, Decision, Performer, Saga, StepCall
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.clock import MovableClock
from marketplace_core.testing.contracts.sagas import SagaContract
from marketplace_core.testing.contracts.sagas_acts import (
    SAGAS,
    Acts,
    ActsProbe,
    Answered,
    Began,
    SagaRunner,
    crashing,
    undone,
    waiting,
)
from marketplace_core.values import Clock

__all__ = ["TABLES", "EngineContract", "EngineRunner", "MakeEngine", "PostgresActs", "RowJournal", "take_up"]

TABLES = """
CREATE TABLE IF NOT EXISTS public.acts (id int GENERATED ALWAYS AS IDENTITY, saga text, act text);
CREATE TABLE IF NOT EXISTS public.tries (id int GENERATED ALWAYS AS IDENTITY, saga text, act text, key text);
CREATE TABLE IF NOT EXISTS public.faults (saga text, act text, how text, times int);
CREATE TABLE IF NOT EXISTS public.sagas (saga text PRIMARY KEY, status text, steps jsonb);
CREATE TABLE IF NOT EXISTS public.waits
  (saga text, signal text, number int, due_at timestamptz, PRIMARY KEY (saga, signal, number));
CREATE TABLE IF NOT EXISTS public.parked (saga text, step text, PRIMARY KEY (saga, step));
CREATE TABLE IF NOT EXISTS public.given_up (saga text PRIMARY KEY);
"""

#: Makes an engine of a deployment, whose own tables may be in that database.
MakeEngine = Callable[[Database, Sequence[Saga], Performer, Clock, Journal], SagaEngine]


class PostgresActs(Acts, ActsProbe):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.units: Units = PostgresUnits(database, clock, "contract")

    async def prepare(self) -> None:
        """Make :data:`TABLES`, where they are not there yet."""
        async with self._database.connection() as connection:
            await connection.script(TABLES)

    async def do(self, saga_id: str, thing: str) -> str:
        await self._act(saga_id, f"do {thing}")
        return f"{thing}!"

    async def undo(self, saga_id: str, thing: str) -> None:
        await self._act(saga_id, f"undo {thing}")

    async def do_item(self, item: tuple[str, str]) -> str:
        return await self.do(*item)

    async def undo_item(self, item: tuple[str, str]) -> None:
        await self.undo(*item)

    async def give_up(self, saga_id: str, failure: Failure) -> None:
        await self._act(saga_id, f"give_up {failure.code}")

    async def _act(self, saga_id: str, act: str) -> None:
        key = calls.current().key or ""
        await self._database.execute("INSERT INTO public.tries (saga, act, key) VALUES ($1, $2, $3)", saga_id, act, key)
        how = await self._database.value(
            "UPDATE public.faults SET times = times - 1 WHERE saga = $1 AND starts_with($2, act) AND times > 0 RETURNING how",
            saga_id,
            act,
        )
        if how == "refuse":
            raise PreconditionFailed()
        if how == "lose":
            raise Unavailable()
        await self._write(saga_id, act)
        if how == "lose_after":
            raise Unavailable()
        if how == "hang":
            print("hangs", flush=True)
            await asyncio.Event().wait()

    @command
    async def _write(self, uow: UnitOfWork, saga_id: str, act: str) -> None:
        await self._database.on(uow).execute("INSERT INTO public.acts (saga, act) VALUES ($1, $2)", saga_id, act)

    async def done(self, saga_id: str) -> list[str]:
        rows = await self._database.fetch("SELECT act FROM public.acts WHERE saga = $1 ORDER BY id", saga_id)
        return [row["act"] for row in rows]

    async def keys(self, saga_id: str, act: str) -> list[str]:
        rows = await self._database.fetch("SELECT key FROM public.tries WHERE (saga, act) = ($1, $2) ORDER BY id", saga_id, act)
        return [row["key"] for row in rows]

    async def fail(self, saga_id: str, act: str, how: str, times: int = 1) -> None:
        await self._database.execute("INSERT INTO public.faults VALUES ($1, $2, $3, $4)", saga_id, act, how, times)


class RowJournal(Journal):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, saga: SagaRun, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        await self._database.execute(
            "INSERT INTO public.sagas AS s VALUES ($1, $2, $3::text::jsonb)"
            " ON CONFLICT (saga) DO UPDATE SET status = excluded.status, steps = s.steps || excluded.steps",
            saga.id,
            status,
            msgspec.json.encode(steps).decode(),
        )

    async def begin_wait(self, saga_id: str, signal: str, number: int, due_at: datetime) -> None:
        await self._database.execute(
            "INSERT INTO public.waits VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", saga_id, signal, number, due_at
        )

    async def end_wait(self, saga_id: str, signal: str, number: int) -> None:
        await self._database.execute(
            "DELETE FROM public.waits WHERE (saga, signal, number) = ($1, $2, $3)", saga_id, signal, number
        )

    async def park(self, saga_id: str, step: str, failure: Failure) -> None:
        await self._database.execute("INSERT INTO public.parked VALUES ($1, $2) ON CONFLICT DO NOTHING", saga_id, step)

    async def is_given_up(self, saga_id: str) -> bool:
        return await self._database.row("SELECT FROM public.given_up WHERE saga = $1", saga_id) is not None


class EngineRunner(SagaRunner):
    def __init__(self, make: MakeEngine, database: Database, acts: PostgresActs, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.journal = RowJournal(database)
        self.engine = make(database, SAGAS, Performer(lambda: {capability_of(Acts): acts}, _note), clock, self.journal)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.engine.launch()
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            await self.engine.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            rows = await self._database.fetch("SELECT * FROM public.waits WHERE due_at <= $1", self._clock.now())
            for row in rows:
                await self.engine.time_out(row["saga"], row["signal"], row["number"])
                await self.journal.end_wait(row["saga"], row["signal"], row["number"])
            await self.engine.take_up()

    async def start(self, declared: Saga, event: Began) -> None:
        if await self.engine.start(declared, event.id, msgspec.json.encode(event).decode()):
            await self._database.execute(
                "INSERT INTO public.sagas VALUES ($1, 'running', '{}') ON CONFLICT DO NOTHING", event.id
            )

    async def signal(self, event: Answered, key: str) -> bool:
        return await self.engine.signal(event.id, event.type, msgspec.json.encode(event).decode(), f"{event.id}/{key}")

    async def retry(self, saga_id: str) -> bool:
        return await self._reopen(saga_id) or await self._decide(saga_id, RETRY)

    async def compensate(self, saga_id: str) -> bool:
        if await self.status(saga_id) == "failed":
            await self._database.execute("INSERT INTO public.given_up VALUES ($1) ON CONFLICT DO NOTHING", saga_id)
            return await self._reopen(saga_id)
        if await self._decide(saga_id, COMPENSATE):
            return True
        rows = await self._database.fetch("DELETE FROM public.waits WHERE saga = $1 RETURNING signal, number", saga_id)
        for row in rows:
            await self.engine.give_up(saga_id, row["signal"], row["number"])
        return bool(rows)

    async def _reopen(self, saga_id: str) -> bool:
        failed = await self._database.row(
            "UPDATE public.sagas SET status = 'running' WHERE saga = $1 AND status = 'failed' RETURNING saga", saga_id
        )
        return await self.engine.reopen(saga_id) if failed is not None else False

    async def _decide(self, saga_id: str, decision: Decision) -> bool:
        rows = await self._database.fetch("DELETE FROM public.parked WHERE saga = $1 RETURNING step", saga_id)
        for row in rows:
            await self.engine.decide(saga_id, row["step"], decision)
        return bool(rows)

    async def status(self, saga_id: str) -> str:
        status = await self._database.value("SELECT status FROM public.sagas WHERE saga = $1", saga_id)
        parked = await self._database.row("SELECT FROM public.parked WHERE saga = $1", saga_id)
        return "waiting" if status == "running" and parked is not None else str(status or "none")

    async def steps(self, saga_id: str) -> dict[str, StepRecord]:
        """What the journal was told of."""
        raw = await self._database.value("SELECT steps::text AS steps FROM public.sagas WHERE saga = $1", saga_id)
        return msgspec.json.decode(raw or "{}", type=dict[str, StepRecord])


async def _note(call: StepCall, attempts: int, error: str) -> None:
    """Nobody looks."""


class EngineContract(SagaContract):
    """The suite for an engine. Fixtures: ``make_engine``, a :data:`MakeEngine`; ``start_runner``, which runs :func:`take_up` in
    a process. The kit has the others."""

    @pytest.fixture
    def clock(self, movable_clock: RedisClock) -> RedisClock:
        return movable_clock

    @pytest.fixture
    async def acts(self, database: Database, clock: Clock) -> PostgresActs:
        acts = PostgresActs(database, clock)
        await acts.prepare()
        return acts

    @pytest.fixture
    async def runner(
        self, make_engine: MakeEngine, database: Database, acts: PostgresActs, clock: Clock
    ) -> AsyncIterator[EngineRunner]:
        runner = EngineRunner(make_engine, database, acts, clock)
        async with runner.running():
            yield runner

    async def test_the_journal_is_told_of_every_step(self, runner: EngineRunner, acts: PostgresActs) -> None:
        """Of those before one that hangs while it does so still; what was refused says by which code."""
        await acts.fail("s1", "do d", "refuse")
        await acts.fail("s1", "undo b", "lose", 2)
        await runner.start(undone, Began(id="s1"))
        await eventually(lambda: acts.keys("s1", "undo b"))
        await eventually(lambda: _told(runner, "s1", "6:undo_item"))
        await _ended(runner, "s1", "refused")
        steps = await runner.steps("s1")
        assert sorted(steps, key=lambda name: int(name.split(":", 1)[0])) == [
            "1:do", "2:do_item", "3:do_item", "4:do", "5:do", "6:undo_item", "7:undo_item", "8:undo", "9:give_up",
        ]  # fmt: skip
        assert steps["5:do"] == StepRecord("refused", error="http.precondition_failed")
        assert steps["7:undo_item"] == StepRecord(attempts=3)

    async def test_an_engine_says_what_it_knows(self, runner: EngineRunner, acts: PostgresActs, clock: MovableClock) -> None:
        """To whoever was not told, with the steps that are recorded."""
        await acts.fail("s2", "do d", "refuse")
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        await runner.start(undone, Began(id="s2"))
        await _ended(runner, "s2", "refused")
        await runner.signal(Answered(id="s1", text="yes"), "1")
        await eventually(lambda: _told(runner, "s1", "1:do"))

        async def known() -> bool:
            looked = await runner.engine.look(["s1", "s2", "nobody"])
            assert set(looked) == {"s1", "s2"}
            assert looked["s1"].status == "running"
            return looked["s2"].status == "refused" and "1:do" in looked["s1"].steps

        await eventually(known)


async def _told(runner: EngineRunner, saga_id: str, step: str) -> bool:
    return step in await runner.steps(saga_id)


async def _ended(runner: EngineRunner, saga_id: str, status: str) -> None:
    async def so() -> bool:
        return await runner.status(saga_id) == status

    await eventually(so)


async def take_up(make: MakeEngine, dsn: str, redis: str, saga_id: str) -> None:
    """The body of a process that takes up the saga ``crashing`` of an id, and stays: prints ``hangs`` and ``done``."""
    database = Database(dsn)
    async with connect(redis) as client:
        clock = RedisClock(client)
        await clock.refresh()
        runner = EngineRunner(make, database, PostgresActs(database, clock), clock)
        async with runner.running():
            await runner.start(crashing, Began(id=saga_id))

            async def done() -> bool:
                return await runner.status(saga_id) == "done"

            await eventually(done, within=600)
            print("done", flush=True)
            await asyncio.Event().wait()
