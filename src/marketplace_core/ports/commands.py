"""Service methods that are commands: one unit of work each, under the call's idempotency key once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import msgspec
from msgspec import Struct

from marketplace_core import calls
from marketplace_core.errors import MarketplaceError
from marketplace_core.ports.units import Claim, HasUnits, UnitOfWork

__all__ = ["command", "command_after", "digest", "natural"]

S = TypeVar("S", bound=HasUnits)
G = TypeVar("G")
R = TypeVar("R")
P = ParamSpec("P")


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

    _called_without(run, 1)
    return run


def natural(
    method: Callable[Concatenate[S, UnitOfWork, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A command whose own arguments (an order's id, a reservation's key) make it idempotent: no claim is written."""

    @functools.wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.units.run(lambda uow: method(self, uow, *args, **kwargs))

    _called_without(run, 1)
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

        _called_without(run, 2)
        return run

    return decorate


def _called_without(run: Callable[..., Any], given: int) -> None:
    """The signature by which it is called: without the ``given`` arguments that come after ``self``, such as the unit."""
    signature = inspect.signature(run)
    own, *rest = signature.parameters.values()
    run.__signature__ = signature.replace(parameters=[own, *rest[given:]])  # type: ignore[attr-defined]


class _Answer:
    """The answer's type, the method's name and the arguments' defaults, worked out once per method."""

    def __init__(self, method: Callable[..., Any], *, given_after: int) -> None:
        """``given_after``: how many parameters come before those of the port's method."""
        self._method = method
        self._type: Any = None
        parameters = list(inspect.signature(method).parameters.values())[given_after:]
        self._names = [parameter.name for parameter in parameters]
        self._defaults = [parameter.default for parameter in parameters]
        self._name = method.__name__

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
        return Claim(call.scope, self._name, call.key, digest(given, self._defaults))


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
