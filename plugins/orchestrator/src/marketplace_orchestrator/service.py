"""Use cases of the orchestrator. It runs in one worker at a time; reading works from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog

from marketplace_core import calls
from marketplace_core.adapters.dbos import DbosReader, DbosSagas, Waits
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery, SagaStep, SagaView
from marketplace_core.errors import Conflict, Failure, NotFound, Unavailable
from marketplace_core.events import Event
from marketplace_core.ports import UnitOfWork, Units
from marketplace_core.sagas import OPERATOR, Saga, StepCall
from marketplace_core.values import Clock, Page
from marketplace_orchestrator.store import OrchestratorStore, ParkedSaga, Try, Wait

__all__ = ["OrchestratorService", "StoredWaits", "note_try", "park"]

log = structlog.get_logger("marketplace.orchestrator")

AWAY_PAUSE = 0.5
IMPORT = "import"


class OrchestratorService(Orchestrator):
    def __init__(
        self,
        units: Units,
        store: OrchestratorStore,
        sagas: Sequence[Saga],
        engine: DbosSagas,
        reader: Callable[[], DbosReader],
        clock: Clock,
        tick_seconds: float,
    ) -> None:
        self.units = units
        self._store = store
        self._engine = engine
        self._make_reader = reader
        self._reader: DbosReader | None = None
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._launched = asyncio.Event()
        newest: dict[type[Event], dict[str, Saga]] = {}
        for saga in sagas:
            known = newest.setdefault(saga.start, {})
            if saga.name not in known or known[saga.name].version < saga.version:
                known[saga.name] = saga
        self._started_by = newest
        self._signals = frozenset(signal for saga in sagas for signal in saga.signals)

    # ── in the worker ────────────────────────────────────────────────────────────────────────────────────────

    async def run_engine(self) -> None:
        """A task: the engine, for as long as the worker lives; what a dead one left is taken up again."""
        self._engine.launch()
        self._launched.set()
        try:
            while True:
                await asyncio.sleep(self._tick_seconds)
                try:
                    await self._tick()
                except (Unavailable, OSError) as error:
                    log.warning("orchestrator.waiting", cause=type(error).__name__)
                    await asyncio.sleep(AWAY_PAUSE)
        finally:
            self._launched.clear()
            await self._engine.close()

    async def _tick(self) -> None:
        """Deadlines that are over by the deployment's clock, and retries that a person asked for."""
        for wait in await self._store.due_waits(self._clock.now()):
            await self._engine.time_out(wait.saga_id, wait.signal, wait.number)
            await self._store.end_wait(wait.saga_id, wait.signal, wait.number)
        for parked in await self._store.take_retries():
            key = f"{parked.saga_id}/{parked.step}/retry"
            await self._engine.signal(parked.saga_id, OPERATOR, "retry", key)
            await self._store.unpark(parked.saga_id, parked.step)

    async def on_event(self, uow: UnitOfWork, event: Event) -> None:
        """A handler: begins the sagas that the event starts, and tells it to those that wait for it.

        The engine knows a saga's id and a signal's key, so that a repeat after a crash does nothing.
        """
        if calls.current().origin == IMPORT:
            return
        await self._launched.wait()
        payload = msgspec.json.encode(event).decode()
        for saga in self._started_by.get(type(event), {}).values():
            await self._engine.start(saga, event.key, payload)
        if type(event) in self._signals:
            key = f"{event.key}/{event.type}/{calls.current().request_id}"
            if await self._engine.signal(event.key, event.type, payload, key):
                await self._store.mark_signalled(uow, event.key, event.type)

    # ── reading and mending ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _read(self) -> DbosReader:
        if self._reader is None:
            self._reader = self._make_reader()
        return self._reader

    async def list_sagas(self, query: SagaQuery) -> Page[SagaView]:
        (offset,) = query.position(int) or (0,)
        found = await self._read.list(limit=query.size + 1, offset=offset, status=query.status)
        parked = await self._store.get_parked([saga.id for saga in found])
        views = [SagaView(saga.id, saga.name, saga.id, _status(saga.status, parked.get(saga.id)), []) for saga in found]
        return query.page(views, lambda _: (offset + query.size,))

    async def get_saga(self, saga_id: str) -> SagaView:
        found = await self._read.list(ids=[saga_id])
        if not found:
            raise NotFound("There is no such saga.")
        parked = (await self._store.get_parked([saga_id])).get(saga_id)
        tries = await self._store.get_tries(saga_id)
        steps = [
            SagaStep(step.name, step.status, max(step.attempts, _attempts(tries, step.name)), step.error, step.at)
            for step in await self._read.steps(saga_id)
        ]
        known = {step.name for step in steps}
        steps += [
            SagaStep(tried.step, "running", tried.attempts, tried.error, tried.at)
            for tried in tries.values()
            if tried.step not in known
        ]
        return SagaView(saga_id, found[0].name, saga_id, _status(found[0].status, parked), steps)

    async def retry(self, saga_id: str) -> None:
        if not await self._store.request_retry(saga_id):
            await self.get_saga(saga_id)
            raise Conflict("orchestrator.wrong_state", "The saga does not wait for a person.")

    async def runnable(self) -> int:
        idle = await self._store.count_idle(self._clock.now())
        return max(0, await self._read.running() - idle)


def _status(status: str, parked: ParkedSaga | None) -> str:
    return "waiting" if status == "running" and parked is not None else status


def _attempts(tries: dict[str, Try], step: str) -> int:
    return tries[step].attempts if step in tries else 1


class StoredWaits(Waits):
    """The engine's waits as rows."""

    def __init__(self, store: OrchestratorStore) -> None:
        self._store = store

    async def begin(self, saga_id: str, signal: str, number: int, due_at: datetime) -> None:
        await self._store.add_wait(Wait(saga_id, signal, number, due_at))

    async def end(self, saga_id: str, signal: str, number: int) -> None:
        await self._store.end_wait(saga_id, signal, number)


def park(store: OrchestratorStore, clock: Clock) -> Callable[[str, str, Failure], Any]:
    async def write(saga_id: str, step: str, failure: Failure) -> None:
        log.error("saga.parked", saga=saga_id, step=step, code=failure.code)
        await store.park(ParkedSaga(saga_id, step, failure, clock.now()))

    return write


def note_try(store: OrchestratorStore, clock: Clock) -> Callable[[StepCall, int, str], Any]:
    async def write(call: StepCall, attempts: int, error: str) -> None:
        await store.note_try(Try(call.saga, call.step, attempts, error, clock.now()))

    return write
