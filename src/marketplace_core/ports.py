"""What plugins ask of the infrastructure. Adapters implement these; a deployment says which.

A capability's port (``marketplace_core.capabilities``) is what plugins ask of each other; its methods are marked here
by :func:`query` and :func:`mutation`, so that a runner knows what it may repeat.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, get_type_hints

import msgspec
from msgspec import Struct

from marketplace_core import calls
from marketplace_core.errors import MarketplaceError
from marketplace_core.events import Envelope, Event

__all__ = [
    "IMPORT",
    "Blobs",
    "Bus",
    "Cache",
    "Claim",
    "KeyParked",
    "UnitOfWork",
    "Units",
    "command",
    "command_after",
    "event_types",
    "handler",
    "handler_after",
    "is_for",
    "mutation",
    "natural",
    "patient",
    "query",
]

T = TypeVar("T")
S = TypeVar("S", bound="HasUnits")
G = TypeVar("G")
R = TypeVar("R")
P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

# ── marks on the methods of a capability's port ──────────────────────────────────────────────────────────────


class PortMethod(Struct, frozen=True):
    """``seconds`` is what one try across processes may take."""

    kind: Literal["query", "mutation"]
    retriable: bool
    seconds: float = 10.0


def query(method: F) -> F:
    """Mark a port method that changes nothing: any runner may repeat it."""
    method.__port__ = PortMethod("query", True)  # type: ignore[attr-defined]
    return method


def mutation(*, retriable: bool) -> Callable[[F], F]:
    """Mark a port method that changes something.

    ``retriable``: a repeat with the same arguments and the same key changes nothing more and gives an equal answer;
    then a far port asks again after a time-out, and the runner ``wire`` proves it by calling twice.
    """

    def mark(method: F) -> F:
        method.__port__ = PortMethod("mutation", retriable)  # type: ignore[attr-defined]
        return method

    return mark


def patient(seconds: float) -> Callable[[F], F]:
    """Above ``query`` or ``mutation``: a method that waits for something by itself may take so long."""

    def mark(method: F) -> F:
        method.__port__ = msgspec.structs.replace(method.__port__, seconds=seconds)  # type: ignore[attr-defined]
        return method

    return mark


# ── the unit of work ─────────────────────────────────────────────────────────────────────────────────────────


class UnitOfWork(ABC):
    """One transaction of one service method. Events and jobs leave with it or not at all."""

    @property
    @abstractmethod
    def now(self) -> datetime:
        """The deployment's time at which the unit began; the same at each reading."""

    @abstractmethod
    def emit(self, event: Event, at: datetime | None = None) -> None:
        """Publish ``event`` once this unit has committed: at least once, in order per aggregate.

        ``at``: when it happened, where that was not now, as in an import of history.
        """

    @abstractmethod
    def enqueue(self, job: str, args: Struct | None = None) -> None:
        """Hand ``job`` to the worker once this unit has committed. It may run more than once."""

    @abstractmethod
    def after_commit(self, act: Callable[[], Awaitable[None]]) -> None:
        """Await ``act`` between the commit and the answer. A crash in between loses it: what must happen is an event."""


class Claim(Struct, frozen=True):
    """An idempotency key being used: whose it is, for which method, over which arguments."""

    scope: str
    method: str
    key: str
    digest: bytes


class KeyParked(Exception):
    """The handler's key waits behind an event that keeps failing; this event must wait there too."""


class Units(ABC):
    """Makes units of work on one plugin's store."""

    @abstractmethod
    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """One transaction around ``work``."""

    @abstractmethod
    async def once(self, claim: Claim, answer: type[T], work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Like :meth:`run`, at most once per claim: a repeat gets the stored answer, or the stored refusal.

        :raises MarketplaceError: ``idempotency.in_flight`` while another call holds the key,
            ``idempotency_key_reused`` when it was used with other arguments.
        """

    @abstractmethod
    async def stored(self, claim: Claim, answer: type[T]) -> tuple[bool, T | None]:
        """Whether the claim has an answer already, and which. A stored refusal is raised."""

    @abstractmethod
    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        """Run ``work`` unless ``handler`` has seen this event, or a later one of its aggregate, before.

        :returns: whether it was applied. :raises KeyParked: the aggregate waits behind a failed event.
        """


class HasUnits(Protocol):
    """A service whose methods are commands or handlers."""

    @property
    def units(self) -> Units: ...


def command(
    method: Callable[Concatenate[S, UnitOfWork, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A service method that is one unit of work; under the call's idempotency key, when it has one, once."""
    spec = _Answer(method, given_after=2)

    @functools.wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        claim = spec.claim(args, kwargs)
        if claim is None:
            return await self.units.run(lambda uow: method(self, uow, *args, **kwargs))
        with calls.keyless():
            return await self.units.once(claim, spec.type, lambda uow: method(self, uow, *args, **kwargs))

    return run


def natural(
    method: Callable[Concatenate[S, UnitOfWork, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A command whose own arguments (an order's id, a reservation's key) make it idempotent: no claim is written."""

    @functools.wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.units.run(lambda uow: method(self, uow, *args, **kwargs))

    return run


def command_after(
    gather: Callable[Concatenate[S, P], Awaitable[G]],
) -> Callable[
    [Callable[Concatenate[S, UnitOfWork, G, P], Awaitable[R]]],
    Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
]:
    """A command that first asks other ports, outside of any transaction: ``gather`` runs unless an answer is stored.

    What ``gather`` returns is the method's second argument. A refusal raised by it is stored as the answer.
    """

    def decorate(
        method: Callable[Concatenate[S, UnitOfWork, G, P], Awaitable[R]],
    ) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
        spec = _Answer(method, given_after=3)

        @functools.wraps(method)
        async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            claim = spec.claim(args, kwargs)
            if claim is None:
                found = await gather(self, *args, **kwargs)
                return await self.units.run(lambda uow: method(self, uow, found, *args, **kwargs))
            known, answer = await self.units.stored(claim, spec.type)
            if known:
                return answer  # type: ignore[return-value]
            refusal: MarketplaceError | None = None
            try:
                found = await gather(self, *args, **kwargs)
            except MarketplaceError as error:
                if not error.is_refusal:
                    raise
                refusal = error

            async def work(uow: UnitOfWork) -> R:
                if refusal is not None:
                    raise refusal
                return await method(self, uow, found, *args, **kwargs)

            with calls.keyless():
                return await self.units.once(claim, spec.type, work)

        return run

    return decorate


class _Answer:
    """The answer's type, the claim's method name and the arguments' defaults, worked out once per method."""

    def __init__(self, method: Callable[..., Any], *, given_after: int) -> None:
        """``given_after``: how many parameters come before those of the port's method."""
        self._method = method
        self._type: Any = None
        parameters = list(inspect.signature(method).parameters.values())[given_after:]
        self._names = [parameter.name for parameter in parameters]
        self._defaults = [parameter.default for parameter in parameters]
        self.name = f"{method.__module__.split('.', 1)[0].removeprefix('marketplace_')}.{method.__name__}"

    @property
    def type(self) -> Any:
        if self._type is None:
            self._type = get_type_hints(self._method).get("return", Any)
        return self._type

    def claim(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Claim | None:
        call = calls.current()
        if call.key is None:
            return None
        rest = zip(self._names[len(args) :], self._defaults[len(args) :], strict=True)
        given = [*args, *(kwargs.get(name, default) for name, default in rest)]
        return Claim(call.scope, self.name, call.key, digest(given, self._defaults))


def digest(args: Sequence[Any], defaults: Sequence[Any] = ()) -> bytes:
    """What tells one request from another under one key: all that is not as by default.

    So a request is the same to a release that has more arguments and fields than the one that it was first sent to.
    ``defaults`` are those of the parameters, by position.
    """
    import hashlib  # noqa: PLC0415

    given = [_given(value) for value in args]
    while given and len(given) <= len(defaults) and args[len(given) - 1] == defaults[len(given) - 1]:
        given.pop()
    raw = msgspec.msgpack.encode(given, order="deterministic")
    return hashlib.blake2b(raw, digest_size=16).digest()


def _given(value: Any) -> Any:
    """A value without the fields that are as by default."""
    if isinstance(value, Struct):
        fields = _fields(type(value))
        found = ((name, getattr(value, name), default) for name, default in fields)
        return {name: _given(part) for name, part, default in found if part is not default and part != default}
    if isinstance(value, list | tuple):
        return [_given(part) for part in value]
    if isinstance(value, dict):
        return {key: _given(part) for key, part in value.items()}
    return value


@functools.cache
def _fields(cls: type[Struct]) -> list[tuple[str, Any]]:
    """A struct's fields with their defaults."""
    fields = msgspec.structs.fields(cls)
    return [(f.name, f.default if f.default_factory is msgspec.NODEFAULT else f.default_factory()) for f in fields]


E = TypeVar("E", bound=Event)


IMPORT = "import"
"""The origin of what a file brought in: history, which begins nothing."""


def handler(
    *event_types: type[E],
    imports: bool = True,
    when: Callable[[E], bool] | None = None,
) -> Callable[[Callable[[S, UnitOfWork, E], Awaitable[None]]], Callable[[S, Envelope], Coroutine[Any, Any, bool]]]:
    """A service method that applies an event exactly once, in one unit of work.

    It is called with the envelope; the method sees the event. Its name in the inbox is ``<plugin>.<method>``.
    ``imports=False``: not those of an import. For what acts (sagas, stock, money, mail), not for what only follows.
    ``when``: only those of which it is true, which an event alone decides; of the others nothing is written, not even that
    they were seen.
    """

    def decorate(
        method: Callable[[S, UnitOfWork, E], Awaitable[None]],
    ) -> Callable[[S, Envelope], Coroutine[Any, Any, bool]]:
        plugin = method.__module__.split(".", 1)[0].removeprefix("marketplace_")
        name = f"{plugin}.{method.__name__}"

        @functools.wraps(method)
        async def run(self: S, envelope: Envelope) -> bool:
            if envelope.origin == IMPORT and not imports:
                return False
            event: Any = envelope.decode()
            if when is not None and not when(event):
                return False
            return await self.units.apply(name, envelope, lambda uow: method(self, uow, event))

        run.event_types = event_types  # type: ignore[attr-defined]
        run.when = when  # type: ignore[attr-defined]
        return run

    return decorate


def handler_after(
    gather: Callable[[S, E], Awaitable[G]], *event_types: type[E], imports: bool = True
) -> Callable[[Callable[[S, UnitOfWork, G, E], Awaitable[None]]], Callable[[S, Envelope], Coroutine[Any, Any, bool]]]:
    """A handler that first asks the world outside (a gateway, a carrier), in no transaction and under no lock.

    ``gather(self, event)`` is repeated whenever the event is, so what it asks for carries a key of its own. What it returns
    is the method's second argument. ``imports`` as for :func:`handler`.
    """

    def decorate(
        method: Callable[[S, UnitOfWork, G, E], Awaitable[None]],
    ) -> Callable[[S, Envelope], Coroutine[Any, Any, bool]]:
        name = f"{method.__module__.split('.', 1)[0].removeprefix('marketplace_')}.{method.__name__}"

        @functools.wraps(method)
        async def run(self: S, envelope: Envelope) -> bool:
            if envelope.origin == IMPORT and not imports:
                return False
            event: Any = envelope.decode()
            with calls.scope(calls.Call(trace=envelope.trace, origin=envelope.origin, request_id=envelope.id)):
                found = await gather(self, event)
            return await self.units.apply(name, envelope, lambda uow: method(self, uow, found, event))

        run.event_types = event_types  # type: ignore[attr-defined]
        run.when = None  # type: ignore[attr-defined]
        return run

    return decorate


# ── the bus ──────────────────────────────────────────────────────────────────────────────────────────────────


class Message(Struct, frozen=True):
    """An envelope as the bus carries it: encoded JSON without its sequence, and the sequence beside it."""

    topic: str
    type: str
    key: str
    sequence: int
    envelope: str


class Delivery(Struct, frozen=True):
    topic: str
    partition: int
    position: str
    message: Message


class Bus(ABC):
    """Topics of a fixed number of partitions by key. Order is kept within a partition."""

    @abstractmethod
    async def publish(self, messages: Sequence[Message]) -> None:
        """Append in the given order; returns once every message is durable."""

    @abstractmethod
    def consume(self, group: str, topics: Sequence[str]) -> Consumer:
        """A consumer that shares the group's partitions with the group's other consumers."""

    @abstractmethod
    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        """How many messages are published and not yet acknowledged by each group, in all."""


class Consumer(ABC):
    @abstractmethod
    async def run(self, deliver: Callable[[Delivery], Awaitable[None]]) -> None:
        """Deliver for ever: one message at a time per partition; acknowledged when ``deliver`` has returned."""


# ── small stores ─────────────────────────────────────────────────────────────────────────────────────────────


class Blobs(ABC):
    """Bytes by key. A key is written once and never changed, so it may be cached for ever."""

    @abstractmethod
    async def put(self, items: Mapping[str, bytes]) -> None: ...

    @abstractmethod
    async def get(self, key: str) -> bytes | None: ...

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> None: ...

    @abstractmethod
    def url(self, key: str) -> str:
        """Where a browser finds it."""


class Cache(ABC):
    """Encoded public reads of one plugin, kept under tags. Losing all of it loses nothing."""

    @abstractmethod
    async def drop(self, tags: Sequence[str]) -> None:
        """Forget what is kept under these tags; what a slow reader is about to put back for them is refused.

        :raises Unavailable: it could not be done, so it must not be answered that it was.
        """

    @abstractmethod
    async def drop_all(self) -> None:
        """Forget every read of the plugin. :raises Unavailable: likewise."""


def event_types(method: Callable[..., Any]) -> tuple[type[Event], ...]:
    """The events that a method made by :func:`handler` is for."""
    types: tuple[type[Event], ...] = method.event_types  # type: ignore[attr-defined]
    return types


def is_for(method: Callable[..., Any], event: Event) -> bool:
    """Whether a method made by :func:`handler` applies an event of one of its types."""
    when: Callable[[Any], bool] | None = method.when  # type: ignore[attr-defined]
    return when is None or when(event)
