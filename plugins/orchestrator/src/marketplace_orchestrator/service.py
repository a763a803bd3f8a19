"""Use cases of the orchestrator. It runs in one worker at a time; reading works from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from marketplace_core import calls
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery, SagaStep, SagaView
from marketplace_core.errors import Conflict, NotFound, Unavailable
from marketplace_core.events import Event
from marketplace_core.metrics import Gauge
from marketplace_core.ports import UnitOfWork, Units, command
from marketplace_core.ports.engine import SagaEngine, StepRecord
from marketplace_core.sagas import COMPENSATE, RETRY, Saga
from marketplace_core.values import Clock, Page
from marketplace_orchestrator.journal import StoredJournal
from marketplace_orchestrator.store import OPEN_STATUSES, OrchestratorStore, SagaRow, StartedSaga, Try

__all__ = ["OrchestratorService"]

log = structlog.get_logger("marketplace.orchestrator")

AWAY_PAUSE = 0.5
WATCH_SECONDS = 5.0
#: After so many ticks in which nothing is known to be due it is looked all the same: what a person decides is not told.
IDLE_TICKS = 4
#: How often sagas are looked for that run nowhere, and how often for such whose end the engine did not tell.
LOOK_SECONDS = 5.0
COMPARE_SECONDS = 60.0


class OrchestratorService(Orchestrator):
    def __init__(
        self,
        units: Units,
        store: OrchestratorStore,
        sagas: Sequence[Saga],
        engine: SagaEngine,
        journal: StoredJournal,
        clock: Clock,
        tick_seconds: float,
        open_sagas: Gauge,
    ) -> None:
        """``journal`` is the engine's. ``open_sagas`` has the labels ``saga`` and ``status``."""
        self.units = units
        self._store = store
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._open_sagas = open_sagas
        self._names = {saga.name for saga in sagas}
        self._launched = asyncio.Event()
        self._looked = self._compared = 0.0
        self._idle = 0
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
            await self._surely(self._compare_all)
            while True:
                await asyncio.sleep(self._tick_seconds)
                await self._surely(self._tick)
        finally:
            self._launched.clear()
            await self._engine.close()

    async def _surely(self, act: Callable[[], Awaitable[None]]) -> None:
        """The next round does what cannot be done now."""
        try:
            await act()
        except (Unavailable, OSError) as error:
            log.warning("orchestrator.waiting", cause=type(error).__name__)
            await asyncio.sleep(AWAY_PAUSE)

    async def _tick(self) -> None:
        self._idle += 1
        if self._idle >= IDLE_TICKS or self._journal.is_due(self._clock.now()):
            self._idle = 0
            await self._tell()
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            for saga_id in await self._engine.take_up():
                log.warning("saga.taken_up", saga=saga_id)
            self._looked = now
        if now - self._compared > COMPARE_SECONDS:
            await self._compare_all(self._clock.now() - timedelta(seconds=COMPARE_SECONDS))

    async def _tell(self) -> None:
        """Deadlines that are over by the deployment's clock, and what a person decided."""
        due = await self._store.take_due(self._clock.now())
        for wait in due.waits:
            await self._engine.time_out(wait.saga_id, wait.signal, wait.number)
            await self._store.end_wait(wait.saga_id, wait.signal, wait.number, heard=False)
        for wait in due.given_up:
            await self._engine.give_up(wait.saga_id, wait.signal, wait.number)
            await self._store.end_given_up(wait)
        for decided in due.decided:
            await self._engine.decide(decided.saga_id, decided.step, decided.decision)
            await self._store.unpark(decided.saga_id, decided.step)
        for saga_id in due.reopenings:
            if await self._engine.reopen(saga_id):
                log.info("saga.reopened", saga=saga_id)
            await self._store.end_reopening(saga_id)
        self._journal.know(due.next)

    async def _compare_all(self, before: datetime | None = None) -> None:
        """Sagas that run by our rows, with what their engine says of them: one may have ended under an earlier release, or by
        a mistake that nothing of ours saw. ``before``: only those that have been at it since then."""
        last = ""
        while ids := await self._store.list_unended(last, before):
            await self._compare(ids)
            last = ids[-1]
        self._compared = time.monotonic()

    async def _compare(self, ids: Sequence[str]) -> None:
        for id_, state in (await self._engine.look(ids)).items():
            if state.status != "running" or state.steps:
                await self._store.correct(id_, state.status, state.steps)

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
            if not await self._engine.start(saga, id_, payload):
                uow.after_commit(partial(self._compare, [id_]))  # it may have ended before this row was there
        if type(event) in self._signals:
            for id_ in await self._store.get_ids(uow, event.key):
                key = f"{id_}/{event.type}/{calls.current().request_id}"
                if await self._engine.signal(id_, event.type, payload, key):
                    await self._store.mark_signalled(uow, id_, event.type, key)

    # ── reading and mending ──────────────────────────────────────────────────────────────────────────────────

    async def list_sagas(self, query: SagaQuery) -> Page[SagaView]:
        after = query.position(datetime, str)
        page = query.page(await self._store.list_sagas(query, after), lambda saga: (saga.started_at, saga.id))
        return Page([_view(saga, []) for saga in page.items], page.next)

    async def get_saga(self, saga_id: str) -> SagaView:
        saga = await self._store.get_saga(saga_id)
        if saga is None:
            raise NotFound("There is no such saga.")
        steps, tries = await self._store.get_steps(saga_id), dict(await self._store.get_tries(saga_id))
        if saga.status == "running":
            with contextlib.suppress(Unavailable):  # it is only more of what is known
                for step, tried in (await self._engine.tries(saga_id)).items():
                    tries[step] = Try(saga_id, step, tried.attempts, tried.error, tried.at)
        return _view(saga, list(_steps(steps, tries)))

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
        return await self._store.count_runnable(self._clock.now())


def _view(saga: SagaRow, steps: list[SagaStep]) -> SagaView:
    return SagaView(saga.id, saga.name, saga.key, saga.status, steps)


def _steps(ended: Mapping[str, StepRecord], tries: Mapping[str, Try]) -> Iterator[SagaStep]:
    """What has ended, with the tries that only we noted, then what is being tried."""
    for name, step in ended.items():
        tried = tries.get(name)
        attempts = max(step.attempts, tried.attempts if tried else 1)
        yield SagaStep(name, step.status, attempts, step.error, tried.at if tried else None)
    for tried in tries.values():
        if tried.step not in ended:
            yield SagaStep(tried.step, "running", tried.attempts, tried.error, tried.at)
