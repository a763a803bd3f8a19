"""What a store offers to the relay that sends its events, and a queue to the jobs among them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from msgspec import Struct

__all__ = ["FailedJob", "JobQueue", "Lanes", "Outbox", "OutboxRow"]

_NO_TRACES: Mapping[str, str] = {}


class OutboxRow(Struct, frozen=True):
    """``writer`` tells this store from every other one that may emit on the topic, also after it was restored or moved."""

    id: int
    kind: str
    topic: str
    type: str
    key: str
    sequence: int | None
    event_id: str
    payload: str
    trace: str = ""
    writer: str = ""


class Lanes(ABC):
    """The lanes that this relay owns while its session lives. Nobody else sends their rows."""

    @abstractmethod
    async def pending(self, limit: int) -> list[OutboxRow]:
        """The oldest rows of the owned lanes that are not marked, in order."""

    @abstractmethod
    async def mark(self, ids: Sequence[int]) -> None:
        """These have arrived: not pending any more while this session lives, and stored at the latest by an idle ``wait``."""

    @abstractmethod
    async def wait(self, seconds: float) -> None:
        """Until something is committed, at most ``seconds``; also tries to take lanes that became free."""


class Outbox(ABC):
    @abstractmethod
    def lanes(self) -> AbstractAsyncContextManager[Lanes]: ...

    @abstractmethod
    async def backlog(self) -> int:
        """How many rows wait to be sent."""

    @abstractmethod
    async def oldest(self) -> float:
        """For how many seconds the oldest row has waited to be sent; 0 where none does."""

    @abstractmethod
    async def position(self) -> int:
        """How far it has been written: a number that grows with each row."""

    async def kept(self, after: int, limit: int) -> list[OutboxRow]:
        """Events that are still here, sent or not, by the order of their ids above ``after``; none where what was sent goes."""
        return []

    @abstractmethod
    async def purge(self) -> None:
        """Forget what was sent long ago, and answers that nobody asks for any more."""


class FailedJob(Struct, frozen=True):
    """A job that is not tried any more. ``args`` is JSON; ``at`` is system time.

    One that could not be read has its bytes as ``payload``, which is else None, and is named ``<plugin>.?``.
    """

    id: str
    job: str
    args: str
    tries: int
    error: str
    at: datetime
    payload: bytes | None = None


class JobQueue(ABC):
    @abstractmethod
    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = _NO_TRACES) -> None:
        """``(job, id, arguments as JSON)`` each; one id is queued once. ``traces``: by id, the ``traceparent`` of some."""

    @abstractmethod
    async def backlog(self, now: datetime) -> int:
        """How many jobs are due or running."""

    @abstractmethod
    async def backlogs(self, plugins: Sequence[str], now: datetime) -> dict[str, tuple[int, int]]:
        """For each plugin: how many of its jobs are due or running, and how many have failed."""

    @abstractmethod
    async def serve(self, jobs: Mapping[str, Callable[[str], Awaitable[None]]]) -> None:
        """Do these jobs, for ever: by name, each is given its arguments as JSON."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def failed(self) -> list[FailedJob]:
        """What an operator has to look at, oldest first."""

    @abstractmethod
    async def release(self, id_: str, *, drop: bool = False) -> bool:
        """Queue a failed job again, as it came, or forget it. False: there is no such job."""
