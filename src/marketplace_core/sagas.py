"""Sagas: one act over several capabilities, written as an async function over a context that every engine gives.

.. code-block:: python

    @saga("orders.checkout", version=1, start=OrderPlaced, signals=(PaymentSettled,))
    async def checkout(ctx: SagaContext, order: OrderPlaced) -> None:
        ctx.on_refusal(Orders.fail, order.order_id)
        await ctx.call(Payments.authorize, order.order_id, undo=Payments.void)
        await ctx.call(Catalog.commit, order.order_id, undo=Catalog.restock)
        await ctx.pivot()
        await ctx.call(Orders.confirm, order.order_id)

A call ends *done*, *refused* or *unknown*. Unknown is asked again with the same key until it is known; it is never undone.
A refusal before the pivot undoes what was done, in reverse, and ends the saga; after the pivot it waits for a person, who
has it tried again or *compensates* the saga: then everything is undone as if it had been refused before, with the failure
``<plugin>.cancelled_by_operator`` of the plugin whose saga it is (``orders.cancelled_by_operator``). A mistake, which is any
other exception, ends it as it stands; it can be gone on with, or compensated, too.
The function holds no I/O, no clock but :meth:`SagaContext.now`, and nothing else that differs when it is replayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, get_type_hints

import msgspec
import structlog
from msgspec import Struct

from marketplace_core import _failpoints, calls, metrics, tracing
from marketplace_core.errors import Failure, MarketplaceError, Unavailable
from marketplace_core.events import Event

__all__ = [
    "COMPENSATE",
    "RETRY",
    "Decision",
    "Engine",
    "Performer",
    "Saga",
    "SagaCompensated",
    "SagaContext",
    "SagaEnd",
    "SagaRefused",
    "StepCall",
    "StepResult",
    "saga",
]

log = structlog.get_logger("marketplace.sagas")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
E = TypeVar("E", bound=Event)

#: Pauses between two tries of a call whose outcome is unknown; the last one repeats.
UNKNOWN_PAUSES = (0.1, 0.3, 1.0, 3.0, 10.0)

PortCall = Callable[Concatenate[Any, P], Awaitable[R]]


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
    async def call(self, method: PortCall[P, R], *args: Any, undo: Callable[..., Awaitable[Any]] | None = None) -> R:
        """Call a port method as a step; ``undo`` is called with the same arguments if a later step is refused.

        Of a step after the pivot, that is if the saga is compensated.

        :raises SagaRefused: the port refused, and the saga ends.
        """

    async def each(
        self, method: PortCall[P, R], items: Iterable[Any], undo: Callable[..., Awaitable[Any]] | None = None
    ) -> list[R]:
        """One call per item, in order."""
        return [await self.call(method, item, undo=undo) for item in items]

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


# ── one step, as it is sent to whoever performs it ───────────────────────────────────────────────────────────


class StepCall(Struct, frozen=True):
    """A port call as data: an engine may perform it in another process. ``args`` is a JSON array.

    ``saga`` is the saga's id, ``name`` how it is declared, ``trace`` the ``traceparent`` of the event that began it.
    """

    saga: str
    step: str
    capability: str
    method: str
    args: str
    name: str = "-"
    trace: str = ""

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
    """What a workflow engine gives one running saga. Each call is recorded and not repeated at replay.

    ``trace`` is the ``traceparent`` of the event that began it, as it was recorded.
    """

    trace: str = ""

    @abstractmethod
    async def perform(self, call: StepCall) -> StepResult:
        """Perform a step and record its result."""

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

    async def call(self, method: PortCall[P, R], *args: Any, undo: Callable[..., Awaitable[Any]] | None = None) -> R:
        name = _port_method(method)[1]
        step = self._step(name)
        while (result := await self._perform(step, method, args)).refusal is not None:
            if not self._pivoted:
                raise SagaRefused(result.refusal)
            await self._wait_for_a_person(step, result.refusal)
            step = self._step(f"{name}.again")
        if undo is not None:  # before the answer is looked at, which may be a mistake
            self._undos.append((undo, args))
        answer: R = decode_result(method, result)
        return answer

    async def _perform(self, step: str, method: Callable[..., Any], args: Sequence[Any]) -> StepResult:
        call = step_call(self._id, step, method, args)
        return await self._engine.perform(msgspec.structs.replace(call, name=self._name, trace=self._engine.trace))

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
        return _ended(declared, SagaEnd("done"))
    await context.undo_all(failure)
    return _ended(declared, SagaEnd("refused", failure))


def _ended(declared: Saga, end: SagaEnd) -> SagaEnd:
    metrics.SAGAS_ENDED.labels(declared.name.split(".", 1)[0], declared.name, end.status).inc()
    return end


def _port_method(method: Callable[..., Any]) -> tuple[str, str]:
    """``('payments', 'authorize')`` of ``Payments.authorize``."""
    return method.__module__.rsplit(".", 1)[-1], method.__name__


def step_call(saga_id: str, step: str, method: Callable[..., Any], args: Sequence[Any]) -> StepCall:
    capability, name = _port_method(method)
    return StepCall(saga_id, step, capability, name, msgspec.json.encode(list(args)).decode())


def decode_result(method: Callable[..., Any], result: StepResult) -> Any:
    return msgspec.json.decode(result.value, type=get_type_hints(method)["return"])


def _declared(service: type, method: str) -> Callable[..., Any]:
    """The method as the capability's port declares it: a service's own may take more than crosses a port."""
    for cls in service.__mro__:
        found: Callable[..., Any] | None = cls.__dict__.get(method)
        if found is not None and hasattr(found, "__port__"):
            return found
    raise TypeError(f"{service.__name__}.{method} is not a method of a port")


class Performer:
    """Performs steps on this process's ports, as often as it takes to know how each ended."""

    def __init__(self, ports: Callable[[], Mapping[str, Any]], note: Callable[[StepCall, int, str], Awaitable[None]]) -> None:
        """``ports()`` gives them by capability; ``note(call, attempts, error)`` records a try of unknown outcome."""
        self._ports = ports
        self._note = note
        self._types: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._counted: dict[tuple[str, str, str], metrics.Outcomes] = {}

    async def perform(self, call: StepCall) -> StepResult:
        port = self._ports()[call.capability]
        method = getattr(port, call.method)
        args = self._decode(port, call)
        attempt = 0
        while True:
            attempt += 1
            try:
                _failpoints.hit("saga.before_call")
                value = await self._try(call, method, args)
                _failpoints.hit("saga.after_call")
                return StepResult(msgspec.json.encode(value).decode(), attempts=attempt)
            except MarketplaceError as error:
                if error.is_refusal:
                    return StepResult(refusal=Failure.of(error), attempts=attempt)
                unknown: Exception = error
            except Exception as error:
                unknown = error
            log.warning("saga.unknown", saga=call.saga, step=call.step, attempt=attempt, exc_info=unknown)
            with contextlib.suppress(Unavailable, OSError):  # only for people; the step itself goes on
                await self._note(call, attempt, f"{type(unknown).__name__}: {unknown}")
            await asyncio.sleep(UNKNOWN_PAUSES[min(attempt, len(UNKNOWN_PAUSES)) - 1])

    async def _try(self, call: StepCall, method: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> Any:
        """One call of the port, counted and traced. Raises what it does."""
        began, outcome = time.perf_counter(), "unknown"
        about = {"marketplace.saga": call.name, "marketplace.saga_id": call.saga, "marketplace.step": call.step}
        try:
            with (
                tracing.span(f"step {call.capability}.{call.method}", parent=call.trace, attributes=about) as trace,
                calls.scope(calls.Call(key=call.key, origin="saga", request_id=call.saga, trace=trace)),
            ):
                value = await method(*args)
            outcome = "done"
            return value
        except MarketplaceError as error:
            outcome = "refused" if error.is_refusal else "unknown"
            raise
        finally:
            self._took(call).observe(outcome, time.perf_counter() - began)

    def _took(self, call: StepCall) -> metrics.Outcomes:
        key = call.name, call.capability, call.method
        if key not in self._counted:
            labels = call.name.split(".", 1)[0], call.name, f"{call.capability}.{call.method}"
            self._counted[key] = metrics.Outcomes(metrics.SAGA_STEP, *labels, known=("done", "refused", "unknown"))
        return self._counted[key]

    def _decode(self, port: Any, call: StepCall) -> tuple[Any, ...]:
        types = self._types.get((call.capability, call.method))
        if types is None:
            hints = get_type_hints(_declared(type(port), call.method))
            hints.pop("return", None)
            types = self._types[(call.capability, call.method)] = tuple(hints.values())
        raw: list[msgspec.Raw] = msgspec.json.decode(call.args, type=list[msgspec.Raw])
        return tuple(msgspec.json.decode(item, type=kind) for item, kind in zip(raw, types, strict=False))
