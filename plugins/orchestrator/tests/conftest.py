"""The service on a database of the test's own, with sagas that only rehearse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from marketplace_orchestrator import plugin, worker
from marketplace_orchestrator.journal import StoredJournal, note_try
from marketplace_orchestrator.service import OrchestratorService
from marketplace_orchestrator.stores.postgres import PostgresOrchestratorStore

from marketplace_core.adapters.dbos import DbosSagas
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.capabilities.orchestrator import SagaView
from marketplace_core.events import Envelope, Event
from marketplace_core.metrics import PluginMetrics
from marketplace_core.sagas import Performer, Saga, SagaContext, saga
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.orchestrator import Acts, Answered, Begun, Rehearsal
from marketplace_core.values import new_id, utc_text


@saga("rehearsal.steps", version=1, start=Begun)
async def steps(ctx: SagaContext, begun: Begun) -> None:
    await ctx.call(Rehearsal.act, begun.thing, "first")
    await ctx.pivot()
    await ctx.call(Rehearsal.act, begun.thing, "second")


@saga("rehearsal.waits", version=1, start=Begun, signals=(Answered,))
async def waits(ctx: SagaContext, begun: Begun) -> None:
    await ctx.call(Rehearsal.act, begun.thing, "before")
    answer = await ctx.wait(Answered, until=await ctx.now() + timedelta(minutes=15))
    await ctx.call(Rehearsal.act, begun.thing, answer.word if answer else "too late")


@saga("rehearsal.waits", version=2, start=Begun, signals=(Answered,))
async def waits_2(ctx: SagaContext, begun: Begun) -> None:
    answer = await ctx.wait(Answered, until=await ctx.now() + timedelta(minutes=15))
    await ctx.call(Rehearsal.act, begun.thing, f"{answer.word} to the second" if answer else "too late")


class Stage:
    """One engine at a time, with these sagas."""

    def __init__(self, database: Database, clock: RedisClock) -> None:
        self.database = database
        self.clock = clock
        self.store = PostgresOrchestratorStore(database)
        self.acts = Acts()
        self.sagas: dict[str, Saga] = {"steps": steps, "waits": waits, "waits_2": waits_2}
        self.service: OrchestratorService
        self._told = 0
        self._subscription: Any = None

    def build(self, names: Sequence[str]) -> OrchestratorService:
        sagas = [self.sagas[name] for name in names]
        journal = StoredJournal(self.store, self.clock)
        engine = DbosSagas(
            self.database,
            sagas,
            Performer(lambda: {Rehearsal.__module__.rsplit(".", 1)[-1]: self.acts}, note_try(self.store, self.clock)),
            self.clock,
            journal,
        )
        units = PostgresUnits(self.database, self.clock, "orchestrator")
        counted = PluginMetrics("rehearsal").gauge("sagas", "Of a test.", ("saga", "status"))
        self.service = OrchestratorService(units, self.store, sagas, engine, journal, self.clock, 0.05, counted)
        [self._subscription] = worker.subscriptions(sagas)
        return self.service

    @contextlib.asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[OrchestratorService]:
        service = self.build(names)
        engine = asyncio.create_task(service.run_engine())
        try:
            yield service
        finally:
            engine.cancel()
            await asyncio.gather(engine, return_exceptions=True)

    async def hear(self, happened: Event, *, origin: str = "api", sequence: int | None = None) -> bool:
        """Give an event to the handler, as the bus does."""
        self._told += 1
        envelope = Envelope(
            id=new_id(),
            type=happened.type,
            version=1,
            key=happened.key,
            occurred_at=utc_text(self.clock.now()),
            origin=origin,
            data=msgspec.Raw(msgspec.json.encode(happened)),
            sequence=sequence or self._told,
        )
        applied: bool = await self._subscription(self.service, envelope)
        return applied

    async def until(self, saga_id: str, status: str) -> SagaView:
        """The saga once it is so."""

        async def so() -> SagaView | None:
            view = await self.service.get_saga(saga_id)
            return view if view.status == status else None

        found: SagaView = await eventually(so)
        return found

    async def waiting_since(self) -> list[datetime]:
        rows = await self.database.fetch("SELECT due_at FROM orchestrator.waits WHERE state = 'waiting'")
        return [row["due_at"] for row in rows]


@pytest.fixture
async def stage(database_factory: Callable[[Sequence[str]], Awaitable[Database]], movable_clock: RedisClock) -> Stage:
    scripts = [migration.script for migration in plugin.migrations()]
    return Stage(await database_factory(["CREATE SCHEMA orchestrator;", *scripts]), movable_clock)


@pytest.fixture
def events() -> Any:
    """The event types, by name: tests cannot import this module."""
    return {"begun": Begun, "answered": Answered}
