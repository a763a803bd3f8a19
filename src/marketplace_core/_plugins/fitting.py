"""Whether what a plugin's hooks return is what they are there for, and can be called as a worker calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, get_type_hints

from msgspec import Struct

from marketplace_core._plugins.places import place
from marketplace_core.hookspecs import Job, Migration, Schedule, Sink, Task
from marketplace_core.http.routing import Router
from marketplace_core.ports import event_types
from marketplace_core.sagas import Saga

__all__ = ["Fault", "Work", "foreign_methods", "is_handler", "item_problems", "work_problems"]

Fault = tuple[str, str]
"""Cause and remedy."""

#: What the items are that a hook returns.
_ITEMS: dict[str, type] = {
    "jobs": Job,
    "migrations": Migration,
    "routers": Router,
    "sagas": Saga,
    "schedules": Schedule,
    "sinks": Sink,
    "tasks": Task,
}


class Work(Struct, frozen=True):
    """What a worker does for a plugin, as its hooks return it."""

    jobs: Sequence[Job] = ()
    schedules: Sequence[Schedule] = ()
    tasks: Sequence[Task] = ()
    sinks: Sequence[Sink] = ()
    handlers: Sequence[Any] = ()

    def named(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Each method, and what it is there for."""
        yield from ((f"the job {job.name!r}", job.method) for job in self.jobs)
        yield from ((f"the schedule {schedule.name!r}", schedule.method) for schedule in self.schedules)
        yield from ((f"the task {task.name!r}", task.method) for task in self.tasks)
        yield from ((f"the sink {sink.name!r}", sink.method) for sink in self.sinks)
        yield from ((f"the handler {method.__name__!r}", method) for method in self.handlers if is_handler(method))


def is_handler(method: Any) -> bool:
    return callable(method) and hasattr(method, "event_types")


def item_problems(hook: str, items: Iterable[Any]) -> Iterator[Fault]:
    """Items that are of another kind than the hook's."""
    kind = _ITEMS.get(hook)
    for item in items if kind is not None else ():
        if kind is not None and not isinstance(item, kind):
            yield f"its hook {hook!r} gives a {type(item).__name__} among its items", f"return a list of {kind.__name__}"


def work_problems(work: Work) -> Iterator[Fault]:
    """Methods that a worker cannot call."""
    for schedule in work.schedules:
        yield from _callable(f"the schedule {schedule.name!r}", schedule.method)
    for task in work.tasks:
        yield from _callable(f"the task {task.name!r}", task.method)
    for sink in work.sinks:
        yield from _callable(f"the sink {sink.name!r}", sink.method, "a list of envelopes")
    for job in work.jobs:
        args: Any = job.args
        if args is not None and not (isinstance(args, type) and issubclass(args, Struct)):
            yield f"the job {job.name!r} has args={args!r}", "let them be a class of msgspec.Struct, or none"
        else:
            yield from _callable(f"the job {job.name!r}", job.method, "" if job.args is None else "the job's args")
    for method in work.handlers:
        yield from _handler(method)


def _callable(what: str, method: Any, given: str = "") -> Iterator[Fault]:
    """``given``: what it is given beside itself."""
    if not callable(method):
        yield f"{what} has the method {method!r}", "name a method of the service"
        return
    subject = f"the method of {what}, {place(method)},"
    if not inspect.iscoroutinefunction(method):
        yield f"{subject} is not async", "write it as async def"
        return
    try:
        inspect.signature(method).bind(*[None] * (2 if given else 1))
    except TypeError as error:
        yield f"{subject} does not fit ({error})", f"let it take {f'itself and {given}' if given else 'nothing but itself'}"


def _handler(method: Any) -> Iterator[Fault]:
    if not is_handler(method):
        shown = place(method) if callable(method) else repr(method)
        yield f"its hook 'subscriptions' gives {shown}, which is no handler", "write @handler(TheEvent) above the method"
        return
    inner, name = inspect.unwrap(method), f"the handler {place(method)}"
    if not event_types(method):
        yield f"{name} names no event", "write @handler(TheEvent)"
    if inner is method:
        return
    if not inspect.iscoroutinefunction(inner):
        yield f"{name} is not async", "write it as async def"
    try:
        hints = get_type_hints(inner)
    except Exception as error:
        yield f"the types of {name} cannot be read ({error})", "import what they name, not only for type checking"
        return
    if hints.get("return", type(None)) is not type(None):
        yield f"{name} has a result, which nobody is given", "let it return None, and emit an event of what came of it"
    taken = hints.get(list(inspect.signature(inner).parameters)[-1])
    if isinstance(taken, type):
        for other in (type_.__name__ for type_ in event_types(method) if not issubclass(type_, taken)):
            yield f"{name} is given {other} and takes {taken.__name__}", "let the two be the same"


def foreign_methods(work: Work, service: type) -> Iterator[Fault]:
    """What is to be done by methods of another class than the service's: they would be called with a stranger."""
    known = {cls.__qualname__ for cls in service.__mro__}
    for what, method in work.named():
        owner = str(getattr(method, "__qualname__", "")).rpartition(".")[0]
        if owner and "<locals>" not in owner and owner not in known:
            yield f"{what} is done by {place(method)}, and the service is {service.__name__}", "name a method of the service"
