"""What the engine tells of its sagas, as rows of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import structlog

from marketplace_core.errors import Failure
from marketplace_core.ports.engine import Journal, SagaRun, SagaStatus, StepRecord
from marketplace_core.sagas import StepCall
from marketplace_core.values import Clock
from marketplace_orchestrator.store import OrchestratorStore, ParkedSaga, StartedSaga, Try, Wait

__all__ = ["StoredJournal", "note_try"]

log = structlog.get_logger("marketplace.orchestrator")


class StoredJournal(Journal):
    def __init__(self, store: OrchestratorStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._next: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether some wait's time is over, as far as is known here."""
        return self._next is not None and self._next <= now

    def know(self, due_at: datetime | None) -> None:
        """The next wait's time, of those that are stored."""
        self._next = due_at

    async def record(self, saga: SagaRun, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        started = StartedSaga(saga.id, saga.name, saga.version, saga.key, self._clock.now())
        await self._store.record(started, status, steps)

    async def begin_wait(self, saga_id: str, signal: str, number: int, due_at: datetime) -> None:
        await self._store.add_wait(Wait(saga_id, signal, number, due_at))
        self._next = due_at if self._next is None else min(self._next, due_at)

    async def end_wait(self, saga_id: str, signal: str, number: int) -> None:
        await self._store.end_wait(saga_id, signal, number, heard=True)

    async def park(self, saga_id: str, step: str, failure: Failure) -> None:
        log.error("saga.parked", saga=saga_id, step=step, code=failure.code)
        await self._store.park(ParkedSaga(saga_id, step, failure, self._clock.now()))

    async def is_given_up(self, saga_id: str) -> bool:
        return await self._store.is_given_up(saga_id)


def note_try(store: OrchestratorStore, clock: Clock) -> Callable[[StepCall, int, str], Awaitable[None]]:
    """Of a step whose outcome is unknown still, for people."""

    async def write(call: StepCall, attempts: int, error: str) -> None:
        await store.note_try(Try(call.saga, call.step, attempts, error, clock.now()))

    return write
