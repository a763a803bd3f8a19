"""The store port of the orchestrator: what an engine does not keep by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from msgspec import Struct

from marketplace_core.capabilities.orchestrator import SagaQuery
from marketplace_core.errors import Failure
from marketplace_core.ports import UnitOfWork
from marketplace_core.ports.engine import SagaStatus, StepRecord
from marketplace_core.sagas import Decision

__all__ = [
    "OPEN_STATUSES",
    "Decided",
    "Due",
    "OpenStatus",
    "OrchestratorStore",
    "ParkedSaga",
    "SagaRow",
    "StartedSaga",
    "Try",
    "Wait",
]

#: What a saga that has not ended as it should does.
OpenStatus = Literal["running", "waits_for_signal", "waits_for_person", "failed"]
OPEN_STATUSES: tuple[OpenStatus, ...] = get_args(OpenStatus)


class Wait(Struct, frozen=True):
    """A saga that waits for a signal until ``due_at``; ``number`` counts its waits."""

    saga_id: str
    signal: str
    number: int
    due_at: datetime


class ParkedSaga(Struct, frozen=True):
    """A saga that waits for a person, and what that one decided."""

    saga_id: str
    step: str
    failure: Failure
    at: datetime
    decision: Decision | None = None


class Try(Struct, frozen=True):
    """Tries of a step whose outcome was unknown."""

    saga_id: str
    step: str
    attempts: int
    error: str
    at: datetime


class StartedSaga(Struct, frozen=True):
    """``id`` is the key of the event that started it; where another saga has that already, with this one's name."""

    id: str
    name: str
    version: int
    key: str
    started_at: datetime


class Decided(Struct, frozen=True):
    saga_id: str
    step: str
    decision: Decision


class Due(Struct, frozen=True):
    """What the engine has to be told: waits whose time is over, giving up and decisions that people asked for, and sagas that
    failed and are to go on. ``next``: when the next wait's time is over."""

    waits: list[Wait]
    given_up: list[Wait]
    decided: list[Decided]
    reopenings: list[str]
    next: datetime | None


class SagaRow(Struct, frozen=True):
    """A saga as it is shown. ``status`` is ``waiting`` where one that runs waits for a person."""

    id: str
    name: str
    key: str
    started_at: datetime
    status: str


class OrchestratorStore(ABC):
    @abstractmethod
    async def add_saga(self, uow: UnitOfWork, saga: StartedSaga) -> str:
        """Its id, which is ``saga.id`` unless another saga has that. Again: the same id, and nothing is written.

        :raises Unavailable: another unit is giving that id away.
        """

    @abstractmethod
    async def get_ids(self, uow: UnitOfWork, key: str) -> list[str]:
        """The sagas of a key."""

    @abstractmethod
    async def record(self, saga: StartedSaga, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        """These steps of it have ended, and it is so. It may be that it was added by a unit that is not committed: then this
        waits for that, or adds it."""

    @abstractmethod
    async def correct(self, saga_id: str, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        """What the engine says of a saga that runs by its row; nothing if it does not, or was asked to go on meanwhile."""

    @abstractmethod
    async def list_unended(self, after: str, before: datetime | None) -> list[str]:
        """Of the sagas that run, by ids greater than ``after``, some at a time; ``before``: of those that wait for nobody
        only those that were started before."""

    @abstractmethod
    async def list_sagas(self, query: SagaQuery, after: tuple[Any, ...] | None) -> list[SagaRow]:
        """One more than a page, the latest first. ``done`` finds the refused ones too."""

    @abstractmethod
    async def get_saga(self, saga_id: str, uow: UnitOfWork | None = None) -> SagaRow | None: ...

    @abstractmethod
    async def get_steps(self, saga_id: str) -> dict[str, StepRecord]:
        """Those that have ended, by name, in the order of their numbers."""

    @abstractmethod
    async def add_wait(self, wait: Wait) -> None:
        """Again: nothing. The signal may have come already: then the saga goes on by itself."""

    @abstractmethod
    async def end_wait(self, saga_id: str, signal: str, number: int, *, heard: bool) -> None:
        """``heard``: by a signal, not by its time."""

    @abstractmethod
    async def mark_signalled(self, uow: UnitOfWork, saga_id: str, signal: str, key: str) -> None:
        """The saga can go on by itself now, or will not wait then. Again, by the same key: nothing."""

    @abstractmethod
    async def request_giving_up(self, uow: UnitOfWork, saga_id: str) -> bool:
        """False: it waits for no signal, or that has come. Again: True."""

    @abstractmethod
    async def end_given_up(self, wait: Wait) -> None: ...

    @abstractmethod
    async def take_due(self, now: datetime) -> Due:
        """Some of each."""

    @abstractmethod
    async def count_runnable(self, now: datetime) -> int:
        """Sagas that have not ended and do not wait: for a signal whose time is not over, or for a person; or are to go on."""

    @abstractmethod
    async def count_open(self, now: datetime) -> dict[tuple[str, OpenStatus], int]:
        """Sagas that have not ended, or failed, by name and status."""

    @abstractmethod
    async def park(self, parked: ParkedSaga) -> None:
        """Again, also after it was decided: nothing."""

    @abstractmethod
    async def decide(self, uow: UnitOfWork, saga_id: str, decision: Decision) -> bool:
        """False: it does not wait for a person, or that one decided otherwise. Compensation again: True."""

    @abstractmethod
    async def request_reopening(self, uow: UnitOfWork, saga_id: str, decision: Decision) -> bool:
        """False: it has not failed. Again: True; compensation stays decided. It runs from now on."""

    @abstractmethod
    async def is_given_up(self, saga_id: str, uow: UnitOfWork | None = None) -> bool:
        """Whether it failed and was to be compensated, ever since."""

    @abstractmethod
    async def end_reopening(self, saga_id: str) -> None: ...

    @abstractmethod
    async def unpark(self, saga_id: str, step: str) -> None:
        """The engine was told."""

    @abstractmethod
    async def get_parked(self, saga_ids: Sequence[str]) -> dict[str, ParkedSaga]:
        """Those that wait for a person still."""

    @abstractmethod
    async def note_try(self, tried: Try) -> None: ...

    @abstractmethod
    async def get_tries(self, saga_id: str) -> dict[str, Try]:
        """By step."""
