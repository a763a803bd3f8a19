"""What a saga's author writes against. Nothing here runs, counts or logs, so that any engine may load it to replay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from msgspec import Struct

from marketplace_core.errors import Failure
from marketplace_core.events import Event

__all__ = ["DEFAULT_RETRY", "PortCall", "Retry", "Saga", "SagaCompensated", "SagaContext", "SagaRefused", "saga"]

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)

PortCall = Callable[Concatenate[Any, P], Awaitable[R]]


class Retry(Struct, frozen=True, omit_defaults=True):
    """When a call whose outcome is unknown is asked again: after ``first`` seconds, then after ``factor`` times as many as the
    last time, but at most ``most``. It is asked until it is known."""

    first: float = 0.1
    factor: float = 3.0
    most: float = 10.0

    def pause(self, tries: int) -> float:
        """Seconds after so many tries."""
        return min(self.first * self.factor ** min(tries - 1, 64), self.most)


DEFAULT_RETRY = Retry()


class SagaRefused(Exception):
    """A step was refused before the pivot. Only the runner catches it: a saga that does so itself would undo nothing."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


class SagaCompensated(SagaRefused):
    """A person gave the saga up, or, while it is undone, the undo that was refused."""


class SagaContext(ABC):
    """What a saga may do. Every method may be replayed; none has an effect of its own."""

    @property
    @abstractmethod
    def id(self) -> str:
        """The saga's id: the key of the event that started it."""

    @abstractmethod
    async def now(self) -> datetime:
        """The deployment's time, the same at each replay."""

    @abstractmethod
    async def call(
        self,
        method: PortCall[P, R],
        *args: Any,
        undo: Callable[..., Awaitable[Any]] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is recorded, and kept where the call is made
        retry: Retry = DEFAULT_RETRY,
    ) -> R:
        """Call a port method as a step; ``undo`` is called with the same arguments if a later step is refused.

        Of a step after the pivot, that is if the saga is compensated. ``timeout``: the seconds that one try may take, after
        which its outcome is unknown; None: as long as the port takes. ``retry``: when what is unknown is asked again.

        :raises SagaRefused: the port refused, and the saga ends.
        """

    async def each(
        self,
        method: PortCall[P, R],
        items: Iterable[Any],
        undo: Callable[..., Awaitable[Any]] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is recorded, and kept where the call is made
        retry: Retry = DEFAULT_RETRY,
    ) -> list[R]:
        """One call per item, in order."""
        return [await self.call(method, item, undo=undo, timeout=timeout, retry=retry) for item in items]

    @abstractmethod
    def undo(self, method: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Call ``method(*args)`` in its turn, as the undo of what comes next, if the saga is refused."""

    @abstractmethod
    def on_refusal(self, method: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Call ``method(*args, failure)`` last, after all undos, when the saga is refused or compensated."""

    @abstractmethod
    async def wait(self, signal: type[E], *, until: datetime) -> E | None:
        """Wait for an event of that type about this saga; None at the deadline, by the deployment's clock.

        :raises SagaRefused: a person compensated the saga meanwhile.
        """

    @abstractmethod
    def refuse(self, code: str, detail: str = "") -> SagaRefused:
        """What to raise to end the saga as if a step had been refused."""

    @abstractmethod
    async def pivot(self) -> None:
        """From here only forward: a refusal waits for a person, and nothing is undone unless that one compensates."""


class Saga(Struct, frozen=True):
    """A declared saga: its name is prefixed by its plugin's."""

    name: str
    version: int
    start: type[Event]
    signals: tuple[type[Event], ...]
    run: Callable[[SagaContext, Any], Coroutine[Any, Any, None]]


SagaFunction = Callable[[SagaContext, E], Coroutine[Any, Any, None]]


def saga(name: str, *, version: int, start: type[E], signals: Sequence[type[Event]] = ()) -> Callable[[SagaFunction[E]], Saga]:
    """Declare a saga that each ``start`` event begins, with the event's key as id; ``signals`` it may wait for.

    A changed function gets a new ``version``; the old one stays beside it while histories of it run.
    """

    def declare(function: SagaFunction[E]) -> Saga:
        return Saga(name, version, start, tuple(signals), function)

    return declare
