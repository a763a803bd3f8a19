"""What every running saga on DBOS does alike, however its steps are recorded."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

from marketplace_core._runtime import failpoints
from marketplace_core.adapters.dbos.connections import library
from marketplace_core.errors import Unavailable
from marketplace_core.ports.engine import Journal, SagaRun, SagaStatus, StepRecord
from marketplace_core.sagas import COMPENSATE, Engine, Performer, StepCall, StepResult
from marketplace_core.values import Clock

__all__ = ["Host", "Run", "given_up", "insist", "over", "record_of"]

T = TypeVar("T")

#: Messages of ours among the events on a signal's topic, each about one wait.
_OVER, _GIVEN_UP = "over:", "compensate:"
AWAY_PAUSE = 0.5
_FOREVER = 10 * 365 * 86400.0


def over(number: int) -> str:
    return f"{_OVER}{number}"


def given_up(number: int) -> str:
    return f"{_GIVEN_UP}{number}"


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask as soon as the database answers: a step that fails would end its saga for good."""
    while True:
        try:
            return await ask()
        except (Unavailable, OSError):
            await asyncio.sleep(AWAY_PAUSE)


def record_of(result: StepResult) -> StepRecord:
    refusal = result.refusal
    return StepRecord("done", result.attempts) if refusal is None else StepRecord("refused", result.attempts, refusal.code)


class Host(Protocol):
    """What running sagas have in common. ``ending``: nothing can be recorded any more."""

    performer: Performer
    clock: Clock
    journal: Journal
    ending: bool


class Run(Engine):
    """One running saga."""

    def __init__(self, sagas: Host, saga: SagaRun, trace: str) -> None:
        self._sagas = sagas
        self.saga = saga
        self.trace = trace
        self._waits = 0
        self._untold: dict[str, StepRecord] = {}

    async def performed(self, call: StepCall, unknown_yet: Callable[[], Awaitable[None]] | None = None) -> StepResult:
        try:
            result = await self._sagas.performer.perform(call, unknown_yet)
        except Exception as mistake:
            self._untold[call.step] = StepRecord("failed", error=f"{type(mistake).__name__}: {mistake}")
            raise
        self.note(call.step, result)
        return result

    def note(self, step: str, result: StepResult) -> None:
        self._untold[step] = record_of(result)

    async def tell(self, status: SagaStatus = "running", **steps: StepRecord) -> None:
        """What has ended since the last time."""
        untold = {**self._untold, **steps}
        if untold or status != "running":
            await insist(lambda: self._sagas.journal.record(self.saga, status, untold))
        self._untold = {}

    async def receive(self, signal: str, until: datetime | None) -> str | None:
        if until is None:
            return await self._next(signal)
        self._waits += 1
        number = self._waits
        await self.begin_wait(signal, number, until)
        while True:
            message = await self._next(signal)
            if message == over(number):
                return None
            if message == given_up(number):
                return COMPENSATE
            if not message.startswith((_OVER, _GIVEN_UP)):  # else about an earlier wait, which a signal had ended
                await self.end_wait(signal, number)
                return message

    async def _next(self, signal: str) -> str:
        while True:
            message: str | None = await library().DBOS.recv_async(signal, timeout_seconds=_FOREVER)
            if message is not None:
                failpoints.hit("saga.received")
                return message

    @abstractmethod
    async def begin_wait(self, signal: str, number: int, until: datetime) -> None: ...

    @abstractmethod
    async def end_wait(self, signal: str, number: int) -> None: ...

    async def give_up_or(self, mistake: Exception) -> None:
        """Returns if a person gave the saga up. The engine records what is raised, and forgets it when it is reopened."""
        if not await insist(lambda: self._sagas.journal.is_given_up(self.saga.id)):
            raise mistake
