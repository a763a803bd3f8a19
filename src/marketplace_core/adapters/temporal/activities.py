"""What workflows have done outside of themselves: calls of ports, the time, and what the journal is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import structlog
from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from marketplace_core import metrics
from marketplace_core.adapters.temporal.values import Told, read
from marketplace_core.errors import Failure
from marketplace_core.ports.engine import Journal
from marketplace_core.sagas import Performer, StepCall, StepResult
from marketplace_core.values import Clock

__all__ = ["Activities", "Steps"]

log = structlog.get_logger("marketplace.temporal")


class Steps:
    """What a saga has done by ports."""

    def __init__(self, performer: Performer) -> None:
        self._performer = performer

    @activity.defn(name="marketplace.probe")
    async def probe(self) -> str:
        """Who answers on a queue."""
        return activity.info().task_queue

    @activity.defn(dynamic=True)
    async def perform(self, args: Sequence[RawValue]) -> StepResult:
        """One try. Where its outcome is unknown Temporal has it tried again, in the pauses that the saga names."""
        call: StepCall = read(args[0].payload, StepCall)
        attempt = activity.info().attempt
        try:
            prepared = self._performer.prepare(call)
        except Exception as mistake:
            raise ApplicationError(str(mistake), type=type(mistake).__name__, non_retryable=True) from mistake
        async with _heartbeats():
            try:
                return await self._performer.attempt(call, prepared, attempt)
            except Exception as unknown:
                await self._performer.unknown(call, attempt, unknown)
                raise ApplicationError(str(unknown), type=type(unknown).__name__) from None


class Activities:
    """What the orchestrator alone does. Steps are among it that are on no other queue: an older release put them there, or
    nobody else serves their capability."""

    def __init__(self, performer: Performer, clock: Clock, journal: Journal) -> None:
        self._steps, self._clock, self._journal = Steps(performer), clock, journal

    @property
    def all(self) -> Sequence[Callable[..., Any]]:
        told = (self.record, self.begin_wait, self.end_wait, self.park, self.is_given_up)
        return (self._steps.perform, self.now, *told)

    @activity.defn(name="marketplace.now")
    async def now(self) -> datetime:
        return self._clock.now()

    @activity.defn(name="marketplace.record")
    async def record(self, told: Told) -> None:
        saga = told.saga
        await self._journal.record(saga, told.status, told.steps)
        if told.status != "running":
            metrics.SAGAS_ENDED.labels(saga.name.split(".", 1)[0], saga.name, told.status).inc()
        if told.status == "failed":
            mistake = told.steps["mistake"].error
            log.error("saga.failed", saga=saga.id, name=saga.name, version=saga.version, mistake=mistake)

    @activity.defn(name="marketplace.begin_wait")
    async def begin_wait(self, told: Told, signal: str, number: int, due_at: datetime) -> None:
        await self._tell(told)
        await self._journal.begin_wait(told.saga.id, signal, number, due_at)

    @activity.defn(name="marketplace.end_wait")
    async def end_wait(self, saga_id: str, signal: str, number: int) -> None:
        await self._journal.end_wait(saga_id, signal, number)

    @activity.defn(name="marketplace.park")
    async def park(self, told: Told, step: str, failure: Failure) -> None:
        await self._tell(told)
        await self._journal.park(told.saga.id, step, failure)

    @activity.defn(name="marketplace.is_given_up")
    async def is_given_up(self, saga_id: str) -> bool:
        return await self._journal.is_given_up(saga_id)

    async def _tell(self, told: Told) -> None:
        if told.steps:
            await self._journal.record(told.saga, told.status, told.steps)


@contextlib.asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Say that it is still being done: a worker that died is known by its silence."""
    limit = activity.info().heartbeat_timeout

    async def beat() -> None:
        while limit is not None:
            await asyncio.sleep(limit.total_seconds() / 3)
            activity.heartbeat()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
