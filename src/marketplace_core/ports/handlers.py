"""Service methods that are handlers: each applies an event exactly once, in one unit of work."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from marketplace_core import calls
from marketplace_core.events import Envelope, Event
from marketplace_core.ports.units import HasRoles, HasUnits, UnitOfWork, Units

__all__ = ["IMPORT", "event_types", "handler", "handler_after", "is_for", "role_of"]

S = TypeVar("S", bound=HasUnits)
G = TypeVar("G")
E = TypeVar("E", bound=Event)


IMPORT = "import"
"""The origin of what a file brought in: history, which begins nothing."""


def handler(
    *event_types: type[E],
    imports: bool = True,
    when: Callable[[E], bool] | None = None,
    role: str | None = None,
) -> Callable[[Callable[[S, UnitOfWork, E], Awaitable[None]]], Callable[[S, Envelope], Coroutine[Any, Any, bool]]]:
    """A service method that applies an event exactly once, in one unit of work.

    It is called with the envelope; the method sees the event. Its name in the inbox is ``<plugin>.<method>``, the plugin's
    being the one that it declares.
    ``imports=False``: not those of an import. For what acts (sagas, stock, money, mail), not for what only follows.
    ``when``: only those of which it is true, which an event alone decides; of the others nothing is written, not even that
    they were seen.
    ``role``: of a plugin with several stores, the one that it writes to; what it has seen, and what waits for it, is kept
    there. Its service gives the units of work by :meth:`~marketplace_core.ports.units.HasRoles.units_of`.
    """

    def decorate(
        method: Callable[[S, UnitOfWork, E], Awaitable[None]],
    ) -> Callable[[S, Envelope], Coroutine[Any, Any, bool]]:
        @functools.wraps(method)
        async def run(self: S, envelope: Envelope) -> bool:
            if envelope.origin == IMPORT and not imports:
                return False
            event: Any = envelope.decode()
            if when is not None and not when(event):
                return False
            return await _units(self, role).apply(method.__name__, envelope, lambda uow: method(self, uow, event))

        run.event_types = event_types  # type: ignore[attr-defined]
        run.when = when  # type: ignore[attr-defined]
        run.role = role  # type: ignore[attr-defined]
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
        @functools.wraps(method)
        async def run(self: S, envelope: Envelope) -> bool:
            if envelope.origin == IMPORT and not imports:
                return False
            event: Any = envelope.decode()
            with calls.scope(calls.Call(trace=envelope.trace, origin=envelope.origin, request_id=envelope.id)):
                found = await gather(self, event)
            return await self.units.apply(method.__name__, envelope, lambda uow: method(self, uow, found, event))

        run.event_types = event_types  # type: ignore[attr-defined]
        run.when = None  # type: ignore[attr-defined]
        return run

    return decorate


def event_types(method: Callable[..., Any]) -> tuple[type[Event], ...]:
    """The events that a method made by :func:`handler` is for."""
    types: tuple[type[Event], ...] = method.event_types  # type: ignore[attr-defined]
    return types


def role_of(method: Callable[..., Any]) -> str | None:
    """The role of the store that a handler writes to; None: the plugin's own."""
    found: str | None = getattr(method, "role", None)
    return found


def _units(service: HasUnits, role: str | None) -> Units:
    return service.units if role is None else cast(HasRoles, service).units_of(role)


def is_for(method: Callable[..., Any], event: Event) -> bool:
    """Whether a method made by :func:`handler` applies an event of one of its types."""
    when: Callable[[Any], bool] | None = method.when  # type: ignore[attr-defined]
    return when is None or when(event)
