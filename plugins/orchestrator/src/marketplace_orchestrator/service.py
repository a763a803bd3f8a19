"""Use cases of the orchestrator. It runs in one worker at a time; reading works from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog

from marketplace_core import calls
from marketplace_core.adapters.dbos import DbosReader, DbosSagas, EngineSaga, Waits
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery, SagaStep, SagaView
from marketplace_core.errors import Conflict, Failure, NotFound, Unavailable
from marketplace_core.events import Event
from marketplace_core.metrics import Gauge
from marketplace_core.ports import UnitOfWork, Units, command
from marketplace_core.sagas import COMPENSATE, RETRY, Saga, StepCall
from marketplace_core.values import Clock, Page
from marketplace_orchestrator.store import OPEN_STATUSES, OrchestratorStore, ParkedSaga, StartedSaga, Try, Wait

__all__ = ["OrchestratorService", "StoredWaits", "note_try", "park"]

log = structlog.get_logger("marketplace.orchestrator")

AWAY_PAUSE = 0.5
WATCH_SECONDS = 5.0
#: How often sagas are looked for that run nowhere.
LOOK_SECONDS = 5.0


class OrchestratorService(Orchestrator):
    def __init__(
        self,
        units: Units,
        store: OrchestratorStore,
        sagas: Sequence[Saga],
        engine: DbosSagas,
        reader: DbosReader,
        clock: Clock,
        tick_seconds: float,
        open_sagas: Gauge,
    ) -> None:
        """``open_sagas`` has the labels ``saga`` and ``status``."""
        self.units = units
        self._store = store
        self._engine = engine
        self._reader = reader
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._open_sagas = open_sagas
        self._names = {saga.name for saga in sagas}
        self._launched = asyncio.Event()
        self._looked = 0.0
        newest: dict[type[Event], dict[str, Saga]] = {}
        for saga in sorted(sagas, key=lambda saga: saga.name):
            known = newest.setdefault(saga.start, {})
            if saga.name not in known or known[saga.name].version < saga.version:
                known[saga.name] = saga
        self._started_by = newest
        self._signals = frozenset(signal for saga in sagas for signal in saga.signals)

    # ── in the worker ────────────────────────────────────────────────────────────────────────────────────────

    async def run_engine(self) -> None:
        """A task: the engine, for as long as the worker lives; what a dead one left is taken up again."""
        await self._engine.launch()
        self._looked = time.monotonic()  # it has just looked by itself
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
        """Deadlines that are over by the deployment's clock, and what a person decided."""
        for wait in await self._store.due_waits(self._clock.now()):
            await self._engine.time_out(wait.saga_id, wait.signal, wait.number)
            await self._store.end_wait(wait.saga_id, wait.signal, wait.number)
        for wait in await self._store.take_given_up():
            await self._engine.give_up(wait.saga_id, wait.signal, wait.number)
            await self._store.end_given_up(wait)
        for parked in await self._store.take_decided():
            await self._engine.decide(parked.saga_id, parked.step, parked.decision or RETRY)
            await self._store.unpark(parked.saga_id, parked.step)
        for saga_id in await self._store.take_reopenings():
            if await self._engine.reopen(saga_id, self._reader):
                log.info("saga.reopened", saga=saga_id)
            await self._store.end_reopening(saga_id)
        if time.monotonic() - self._looked > LOOK_SECONDS:
            for saga_id in await self._engine.take_up(self._reader):
                log.warning("saga.taken_up", saga=saga_id)
            self._looked = time.monotonic()

    async def watch(self) -> None:
        """A task: how many sagas have not ended, what they wait for, and how many failed."""
        await self._launched.wait()
        while True:
            with contextlib.suppress(Unavailable, OSError):
                counts = await self._store.count_open(self._clock.now())
                for name in self._names:
                    for status in OPEN_STATUSES:
                        self._open_sagas.labels(name, status).set(counts.get((name, status), 0))
            await asyncio.sleep(WATCH_SECONDS)

    async def ready(self, event: Event) -> None:
        """Before a handler's transaction: there is an engine to tell it to."""
        await self._launched.wait()

    async def on_event(self, uow: UnitOfWork, _: None, event: Event) -> None:
        """A handler: begins the sagas that the event starts, and tells it to those that wait for it. An import begins none.

        The engine knows a saga's id and a signal's key, so that a repeat after a crash does nothing.
        """
        payload = msgspec.json.encode(event).decode()
        for saga in self._started_by.get(type(event), {}).values():
            id_ = await self._store.add_saga(uow, StartedSaga(event.key, saga.name, saga.version, event.key, uow.now))
            await self._engine.start(saga, id_, payload)
        if type(event) in self._signals:
            for id_ in await self._store.get_ids(uow, event.key):
                key = f"{id_}/{event.type}/{calls.current().request_id}"
                if await self._engine.signal(id_, event.type, payload, key):
                    await self._store.mark_signalled(uow, id_, event.type)

    # ── reading and mending ──────────────────────────────────────────────────────────────────────────────────

    async def list_sagas(self, query: SagaQuery) -> Page[SagaView]:
        after = query.position(datetime, str)
        rows = await self._store.list_sagas(query, after) if await self._reader.ever_ran() else []
        page = query.page(rows, lambda saga: (saga.started_at, saga.id))
        ids = [saga.id for saga in page.items]
        looked, parked = await self._reader.look(ids), await self._store.get_parked(ids)
        views = [SagaView(x.id, x.name, x.key, _status(looked.get(x.id), parked.get(x.id)), []) for x in page.items]
        return Page(views, page.next)

    async def get_saga(self, saga_id: str) -> SagaView:
        saga = await self._store.get_saga(saga_id)
        if saga is None:
            raise NotFound("There is no such saga.")
        looked = (await self._reader.look([saga_id], steps=True)).get(saga_id)
        parked = (await self._store.get_parked([saga_id])).get(saga_id)
        tries = await self._store.get_tries(saga_id)
        return SagaView(saga.id, saga.name, saga.key, _status(looked, parked), list(_steps(looked, tries)))

    @command
    async def retry(self, uow: UnitOfWork, saga_id: str) -> None:
        await self._known(uow, saga_id)
        # One that failed while it waited for a person waits again before there is anything to decide.
        reopened = await self._store.request_reopening(uow, saga_id, RETRY)
        if not reopened and not await self._store.decide(uow, saga_id, RETRY):
            raise Conflict(
                "orchestrator.wrong_state", "The saga neither waits for a person nor failed, or is to be compensated."
            )

    @command
    async def compensate(self, uow: UnitOfWork, saga_id: str) -> None:
        await self._known(uow, saga_id)
        if not (
            await self._store.request_reopening(uow, saga_id, COMPENSATE)
            or await self._store.decide(uow, saga_id, COMPENSATE)
            or await self._store.request_giving_up(uow, saga_id)
            or await self._store.is_given_up(saga_id, uow)
        ):
            raise Conflict("orchestrator.wrong_state", "The saga neither waits nor failed, or is to be retried.")

    async def _known(self, uow: UnitOfWork, saga_id: str) -> None:
        if await self._store.get_saga(saga_id, uow) is None:
            raise NotFound("There is no such saga.")

    async def runnable(self) -> int:
        return await self._store.count_runnable(self._clock.now()) if await self._reader.ever_ran() else 0


def _status(looked: EngineSaga | None, parked: ParkedSaga | None) -> str:
    status = looked.status if looked else "running"
    return "waiting" if status == "running" and parked is not None else status


def _steps(looked: EngineSaga | None, tries: dict[str, Try]) -> Iterator[SagaStep]:
    """What the engine recorded, with the tries that it does not know of, then what is being tried."""
    recorded = looked.steps if looked else []
    for step in recorded:
        tried = tries.get(step.name)
        attempts = max(step.attempts, tried.attempts if tried else 1)
        yield SagaStep(step.name, step.status, attempts, step.error, tried.at if tried else None)
    for tried in tries.values():
        if tried.step not in {step.name for step in recorded}:
            yield SagaStep(tried.step, "running", tried.attempts, tried.error, tried.at)


class StoredWaits(Waits):
    """The engine's waits as rows."""

    def __init__(self, store: OrchestratorStore) -> None:
        self._store = store

    async def begin(self, saga_id: str, signal: str, number: int, due_at: datetime) -> None:
        await self._store.add_wait(Wait(saga_id, signal, number, due_at))

    async def end(self, saga_id: str, signal: str, number: int) -> None:
        await self._store.end_wait(saga_id, signal, number)

    async def is_given_up(self, saga_id: str) -> bool:
        return await self._store.is_given_up(saga_id)


def park(store: OrchestratorStore, clock: Clock) -> Callable[[str, str, Failure], Any]:
    async def write(saga_id: str, step: str, failure: Failure) -> None:
        log.error("saga.parked", saga=saga_id, step=step, code=failure.code)
        await store.park(ParkedSaga(saga_id, step, failure, clock.now()))

    return write


def note_try(store: OrchestratorStore, clock: Clock) -> Callable[[StepCall, int, str], Any]:
    async def write(call: StepCall, attempts: int, error: str) -> None:
        await store.note_try(Try(call.saga, call.step, attempts, error, clock.now()))

    return write
