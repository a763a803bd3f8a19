"""A running saga over any engine: numbering of steps, undos, pivot, and what a person decides."""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, ParamSpec, TypeVar, get_type_hints

import msgspec
from msgspec import Struct

from marketplace_core.capabilities import capability_of
from marketplace_core.errors import Failure
from marketplace_core.events import Event
from marketplace_core.sagas.definition import (
    DEFAULT_RETRY,
    PortCall,
    Retry,
    Saga,
    SagaCompensated,
    SagaContext,
    SagaRefused,
)

__all__ = [
    "COMPENSATE",
    "OPERATOR",
    "RETRY",
    "Decision",
    "Engine",
    "RunningSaga",
    "SagaEnd",
    "StepCall",
    "StepResult",
    "decode_result",
    "run_saga",
]

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)


class StepCall(Struct, frozen=True):
    """A port call as data: an engine may perform it in another process. ``args`` is a JSON array.

    ``saga`` is the saga's id, ``name`` how it is declared, ``trace`` the ``traceparent`` of the event that began it.
    ``repeatable``: again by the same key it changes nothing more, and gives an equal answer.
    """

    saga: str
    step: str
    capability: str
    method: str
    args: str
    name: str = "-"
    trace: str = ""
    repeatable: bool = False
    timeout: float | None = None
    retry: Retry = DEFAULT_RETRY

    @property
    def key(self) -> str:
        return f"{self.saga}/{self.step}"


class StepResult(Struct, frozen=True, omit_defaults=True):
    """How a step ended: ``value`` is JSON; or ``refusal``. ``attempts`` counts the tries of unknown outcome too."""

    value: str = "null"
    refusal: Failure | None = None
    attempts: int = 1


class SagaEnd(Struct, frozen=True, omit_defaults=True):
    """How a saga ended: ``done``, or ``refused`` with everything undone."""

    status: str
    failure: Failure | None = None


class Engine(ABC):
    """What a workflow engine gives one running saga. What is recorded is not repeated at replay.

    ``trace`` is the ``traceparent`` of the event that began it, as it was recorded.
    """

    trace: str = ""

    @abstractmethod
    async def perform(self, call: StepCall) -> StepResult:
        """Perform a step and record its result; that of a repeatable call at the latest before anything else is asked of the
        engine, and a refusal at once."""

    @abstractmethod
    async def receive(self, signal: str, until: datetime | None) -> str | None:
        """The next message on ``signal`` as JSON, or None at ``until``; :data:`COMPENSATE` if a person wants that first.

        On :data:`OPERATOR` it is the :data:`Decision` about the step that was parked last, one per step.
        """

    @abstractmethod
    async def now(self, step: str) -> datetime:
        """The time, recorded."""

    @abstractmethod
    async def park(self, step: str, failure: Failure) -> None:
        """Show that the saga waits for a person."""

    async def fail(self, mistake: Exception) -> None:
        """The saga met a mistake. Returns, which is recorded, if a person compensates it; else it raises ``mistake``."""
        raise mistake


OPERATOR = "operator"
#: What a person decides about a saga that waits for one.
Decision = Literal["retry", "compensate"]
RETRY: Decision = "retry"
COMPENSATE: Decision = "compensate"


class RunningSaga(SagaContext):
    """The context over any engine: numbering of steps, undos, pivot, and what a person decides."""

    def __init__(self, saga_id: str, engine: Engine, name: str) -> None:
        """``name`` as it is declared."""
        self._id = saga_id
        self._engine = engine
        self._name = name
        self.given_up = Failure(f"{name.split('.', 1)[0]}.cancelled_by_operator", "An operator gave it up.")
        self._count = 0
        self._undos: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._at_refusal: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._pivoted = False

    @property
    def id(self) -> str:
        return self._id

    def _step(self, name: str) -> str:
        self._count += 1
        return f"{self._count}:{name}"

    async def now(self) -> datetime:
        return await self._engine.now(self._step("now"))

    def refuse(self, code: str, detail: str = "") -> SagaRefused:
        return SagaRefused(Failure(code, detail))

    def undo(self, method: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self._undos.append((method, args))

    def on_refusal(self, method: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self._at_refusal.append((method, args))

    async def call(
        self,
        method: PortCall[P, R],
        *args: Any,
        undo: Callable[..., Awaitable[Any]] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is recorded, and kept where the call is made
        retry: Retry = DEFAULT_RETRY,
    ) -> R:
        name = method.__name__
        step = self._step(name)
        while (result := await self._perform(step, method, args, timeout, retry)).refusal is not None:
            if not self._pivoted:
                raise SagaRefused(result.refusal)
            await self._wait_for_a_person(step, result.refusal)
            step = self._step(f"{name}.again")
        if undo is not None:  # before the answer is looked at, which may be a mistake
            self._undos.append((undo, args))
        answer: R = decode_result(method, result)
        return answer

    async def _perform(
        self, step: str, method: Callable[..., Any], args: Sequence[Any], seconds: float | None, retry: Retry
    ) -> StepResult:
        port = getattr(method, "__port__", None)
        call = StepCall(
            self._id,
            step,
            capability_of(method),
            method.__name__,
            msgspec.json.encode(list(args)).decode(),
            self._name,
            self._engine.trace,
            repeatable=port is not None and port.kind == "mutation" and port.retriable,
            timeout=seconds,
            retry=retry,
        )
        return await self._engine.perform(call)

    async def wait(self, signal: type[E], *, until: datetime) -> E | None:
        raw = await self._engine.receive(signal.type, until)
        if raw == COMPENSATE:
            raise SagaCompensated(self.given_up)
        return None if raw is None else msgspec.json.decode(raw, type=signal)

    async def pivot(self) -> None:
        self._pivoted = True

    async def _wait_for_a_person(self, step: str, failure: Failure) -> None:
        """Returns when it is to be tried again. :raises SagaCompensated: it is not."""
        await self._engine.park(step, failure)
        if await self._engine.receive(OPERATOR, None) == COMPENSATE:
            raise SagaCompensated(self.given_up)

    async def accept(self, refused: SagaRefused) -> Failure:
        """Why everything is undone. What the saga itself refuses after the pivot can only be compensated."""
        try:
            while self._pivoted and not isinstance(refused, SagaCompensated):
                await self._wait_for_a_person(self._step("refused"), refused.failure)
        except SagaCompensated as compensated:
            refused = compensated
        return refused.failure

    async def undo_all(self, failure: Failure) -> None:
        """Undo in reverse until everything is undone.

        An undo that is refused waits for a person: it is tried again, or, if that one compensates, left out.
        """
        self._pivoted = True
        refusing = [(method, (*args, failure)) for method, args in self._at_refusal]
        for method, args in [*reversed(self._undos), *refusing]:
            with contextlib.suppress(SagaCompensated):
                await self.call(method, *args)


async def run_saga(declared: Saga, saga_id: str, payload: str, engine: Engine) -> SagaEnd:
    """Run a saga to its end over ``engine``; the same code for every engine."""
    context = RunningSaga(saga_id, engine, declared.name)
    event = msgspec.json.decode(payload, type=declared.start)
    try:
        await declared.run(context, event)
    except SagaRefused as refused:
        failure = await context.accept(refused)
    except Exception as mistake:
        await engine.fail(mistake)
        failure = context.given_up
    else:
        return SagaEnd("done")
    await context.undo_all(failure)
    return SagaEnd("refused", failure)


@functools.cache
def _answer(method: Callable[..., Any]) -> Any:
    return get_type_hints(method)["return"]


def decode_result(method: Callable[..., Any], result: StepResult) -> Any:
    return msgspec.json.decode(result.value, type=_answer(method))
