"""The port of a saga engine: it runs sagas durably. Who looks after them keeps their status, and is told by a journal.

Times, deadlines and what people decide are not the engine's: an orchestrator has them as rows, compares these with the
deployment's clock, and tells the engine by the methods here. Each may be repeated after a crash, and then does nothing more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from marketplace_core.errors import Failure
from marketplace_core.sagas.definition import Saga
from marketplace_core.sagas.running import Decision

__all__ = ["Journal", "SagaEngine", "SagaRun", "SagaState", "SagaStatus", "StepRecord", "StepServer", "StepTries"]

SagaStatus = Literal["running", "done", "refused", "failed", "cancelled"]


class StepRecord(Struct, frozen=True, omit_defaults=True):
    """A step that has ended. ``error``: the code of what refused it, or of a mistake what it was."""

    status: Literal["done", "refused", "failed"] = "done"
    attempts: int = 1
    error: str | None = None


class SagaRun(Struct, frozen=True):
    """A saga that runs; ``key`` is that of the event that began it."""

    id: str
    name: str
    version: int
    key: str


class SagaState(Struct, frozen=True):
    """What an engine knows of a saga: steps by name, in the order in which they ended."""

    status: SagaStatus
    steps: Mapping[str, StepRecord] = {}


class StepTries(Struct, frozen=True):
    """Tries of a step whose outcome is unknown still; ``at``: when the last of them ended."""

    attempts: int
    error: str
    at: datetime


class Journal(ABC):
    """Where an engine writes what becomes of its sagas.

    Each method may be repeated. :raises Unavailable: it could not be written; the engine asks until it is.
    """

    @abstractmethod
    async def record(self, saga: SagaRun, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        """These steps have ended; the saga has, unless it is ``running``. It may be told before the start was committed.

        An engine need not tell of each step at once, but tells of all before the saga waits, and when it ends.
        """

    @abstractmethod
    async def begin_wait(self, saga_id: str, signal: str, number: int, due_at: datetime) -> None:
        """From ``due_at`` on, by the deployment's clock, :meth:`SagaEngine.time_out` must be called."""

    @abstractmethod
    async def end_wait(self, saga_id: str, signal: str, number: int) -> None:
        """The signal came."""

    @abstractmethod
    async def park(self, saga_id: str, step: str, failure: Failure) -> None:
        """It waits for a person, who is to decide about the step: :meth:`SagaEngine.decide`."""

    @abstractmethod
    async def is_given_up(self, saga_id: str) -> bool:
        """Whether a person compensates the saga, which failed; once that is so, it stays so."""


class SagaEngine(ABC):
    """Runs sagas, each under its id. All but :meth:`look` are for the one process that has launched it."""

    @abstractmethod
    async def launch(self) -> None:
        """Begin, on the running event loop; sagas that a dead process left are taken up again."""

    @abstractmethod
    async def close(self) -> None:
        """End; what runs is left to whoever launches next."""

    @abstractmethod
    async def start(self, declared: Saga, saga_id: str, payload: str) -> bool:
        """Begin a saga with its event as JSON; one id begins once. It belongs to the trace of the call that begins it.

        False: it had begun before.
        """

    @abstractmethod
    async def signal(self, saga_id: str, signal: str, payload: str, key: str) -> bool:
        """Send ``payload`` once per ``key``. False: there is no such saga."""

    @abstractmethod
    async def time_out(self, saga_id: str, signal: str, number: int) -> None:
        """The time of a wait is over."""

    @abstractmethod
    async def give_up(self, saga_id: str, signal: str, number: int) -> None:
        """A person compensates a saga that waits for a signal; what came before that counts."""

    @abstractmethod
    async def decide(self, saga_id: str, step: str, decision: Decision) -> None:
        """What a person wants of a parked step. Only the first decision about a step counts."""

    @abstractmethod
    async def reopen(self, saga_id: str) -> bool:
        """Go on with a saga that failed, at the step that did; or undo it, if it is given up. False: it has not failed.

        Under its id: that is part of each step's key, and where its signals are sent.
        """

    @abstractmethod
    async def take_up(self) -> list[str]:
        """Have those go on that run nowhere though they should; gives their ids."""

    @abstractmethod
    async def look(self, saga_ids: Sequence[str]) -> dict[str, SagaState]:
        """What the engine itself knows, by id, from any process; for what its journal was not told. :raises Unavailable:"""

    async def tries(self, saga_id: str) -> Mapping[str, StepTries]:
        """By step, where the engine itself knows of them because others perform it; from any process. :raises Unavailable:"""
        return {}


class StepServer(ABC):
    """Performs the steps of sagas that run elsewhere, in a worker of the service whose port they call."""

    @abstractmethod
    async def run(self) -> None:
        """Until cancelled."""
