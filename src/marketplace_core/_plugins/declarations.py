"""What plugins declare, gathered without any process: their routes, jobs, schedules, sagas, subscriptions, migrations.

Hooks that take a context get one that only lets them declare: whatever they ask for may be kept, and not be used.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from marketplace_core._plugins.fitting import Work
from marketplace_core._plugins.porting import port_faults
from marketplace_core._plugins.specs import PluginProblem
from marketplace_core._plugins.standins import LooseStandIn, StandIn, metrics_of
from marketplace_core.context import PluginContext
from marketplace_core.deployment._problems import likeliest, listed
from marketplace_core.events import EVENTS
from marketplace_core.hookspecs import Migration, PluginInfo
from marketplace_core.http.routing import Route
from marketplace_core.origins import Origins
from marketplace_core.sagas import Saga
from marketplace_core.values import SystemClock

__all__ = ["Declared", "declaring_context", "duplicates", "own_problems", "service_problems"]


class Declared(Struct, frozen=True, kw_only=True):
    """``subscriptions`` are the event types by the name of their handler, ``roles`` the stores of those that write to another
    than the plugin's own; ``extensions`` the names of extension hooks.
    ``commands`` are as one writes them, ``import olist``.

    ``work`` is what jobs, schedules, tasks, sinks and handlers were returned as.
    """

    info: PluginInfo
    routes: tuple[Route, ...] = ()
    jobs: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    sagas: tuple[Saga, ...] = ()
    subscriptions: Mapping[str, tuple[str, ...]] = {}
    roles: Mapping[str, str] = {}
    migrations: tuple[Migration, ...] = ()
    extensions: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    work: Work = Work()


def declaring_context(
    name: str,
    settings: Struct,
    store: str | None,
    *,
    currency: str,
    tax_included: bool,
    sagas: Sequence[Saga],
    loose: bool = False,
) -> PluginContext:
    """A plugin's context in no process. ``loose``: what it gives may be called, as where a service is made."""
    stand_in: type[StandIn] = LooseStandIn if loose else StandIn
    metrics = metrics_of(name)

    def later(member: str) -> Any:
        if isinstance(vars(PluginContext)[member], property):
            return property(lambda _: stand_in(member))
        return lambda *_: stand_in(member)

    members: dict[str, Any] = {member: later(member) for member in PluginContext.__abstractmethods__}
    members["config"] = lambda _, kind: settings
    members["port"] = lambda _, capability: stand_in(capability.__name__)
    members["store"] = lambda self, makers, role=None: _made(self, store, makers, role) or stand_in("store")
    members["key"] = lambda _, purpose: bytes(32)
    members["metrics"] = property(lambda _: metrics)
    members["sagas"] = property(lambda _: sagas)
    members["ports"] = property(lambda _: defaultdict(lambda: stand_in("ports")))
    context = cast(PluginContext, type("DeclaringContext", (PluginContext,), members)())
    context.name, context.clock, context.currency, context.tax_included = name, SystemClock(), currency, tax_included
    context.origins = Origins()
    return context


def _made(context: PluginContext, store: str | None, makers: Mapping[str, Any], role: str | None) -> Any:
    """A store, unless it is only named: to make it its driver would be imported."""
    if role is None and store is not None and store not in makers:
        raise LookupError(f"it makes {listed(makers)}, and info() offers the store {store!r}")
    maker = makers.get(store or "")
    return maker(context) if callable(maker) else None


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────


def own_problems(name: str, declared: Declared) -> Iterator[PluginProblem]:
    """Names that do not begin with the plugin's, migrations with gaps, events that no capability declares."""
    named = [("job", job) for job in declared.jobs] + [("schedule", schedule) for schedule in declared.schedules]
    named += [("task", task) for task in declared.tasks] + [("sink", sink) for sink in declared.sinks]
    named += [("saga", saga.name) for saga in declared.sagas]
    for kind, given in dict.fromkeys(named):
        if not given.startswith(f"{name}."):
            yield PluginProblem(name, f"the {kind} {given!r} does not bear its name", f"call it {f'{name}.{given}'!r}")
    by_store: dict[tuple[str, str], list[int]] = defaultdict(list)
    for migration in declared.migrations:
        by_store[migration.role, migration.store].append(migration.number)
    for (role, store), numbers in by_store.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            shown = ", ".join(map(str, sorted(numbers)))
            yield PluginProblem(
                name, f"its {role or store} migrations are numbered {shown}", "number them from 1 without a gap"
            )
    yield from _stores(name, declared.info, by_store)
    for cause, remedy in port_faults(declared.info.provides) if declared.info.provides is not None else ():
        yield PluginProblem(name, cause, remedy)
    for handler, types in declared.subscriptions.items():
        for type_ in types:
            if type_ not in EVENTS:
                cause = f"{handler} subscribes to {type_!r}, which no capability declares"
                yield PluginProblem(name, cause, "declare the event in the capability's module")
    for handler, role in declared.roles.items():
        if role not in declared.info.roles:
            remedy = likeliest(role, declared.info.roles, f"name {role!r} in roles of info()")
            yield PluginProblem(name, f"{handler} writes to {role!r}, which is no role of it", remedy)


def service_problems(name: str, declared: Declared, implemented: Sequence[str]) -> Iterator[PluginProblem]:
    """Methods of a service that nobody makes, or that two hooks make."""
    runs = [*declared.subscriptions, *declared.sinks, *declared.jobs, *declared.schedules, *declared.tasks]
    if declared.info.provides is not None:
        if "service" in implemented:
            cause = f"it has the hook 'service', and its service is what 'provide_{declared.info.provides}' gives"
            yield PluginProblem(name, cause, "leave 'service' out")
    elif runs and not {"service", "extensions"} & set(implemented):
        yield PluginProblem(name, f"it has {runs[0]!r} and no service that this is a method of", "implement the hook 'service'")


def _stores(name: str, info: PluginInfo, found: Iterable[tuple[str, str]]) -> Iterator[PluginProblem]:
    """Migrations by role and kind of a store that the plugin does not have: nothing would ever run them."""
    for role, store in found:
        if role and role not in info.roles:
            remedy = likeliest(role, info.roles, f"name {role!r} in roles of info(), or remove migrations/{role}.{store}")
            yield PluginProblem(name, f"it has migrations for the role {role!r}, which is no role of it", remedy)
            continue
        kinds = info.roles[role] if role else info.stores
        if store not in kinds:
            remedy = likeliest(store, kinds, f"name {store!r} in stores of info(), or remove migrations/{store}")
            yield PluginProblem(name, f"it has migrations for {store!r}, which is no store of it", remedy)


_Found = tuple[str, str]
"""What must be unique, and how it is written: ``/products/{id}`` and ``/products/{slug}`` are one route."""


def duplicates(declared: Mapping[str, Declared]) -> Iterator[PluginProblem]:
    """Routes, jobs, schedules, tasks, sinks, sagas and handlers that are declared twice, by one plugin or by two."""
    for kind, collect in _UNIQUE.items():
        owners: dict[str, str] = {}
        for plugin, own in declared.items():
            for same, shown in collect(own):
                if same not in owners:
                    owners[same] = plugin
                    continue
                whose = "twice" if owners[same] == plugin else f"by the plugin {owners[same]!r} too"
                yield PluginProblem(plugin, f"the {kind} {shown!r} is declared {whose}", "keep one of them")


def _routes(own: Declared) -> list[_Found]:
    shown = [f"{route.method} /{route.audience}/v1{route.path}" for route in own.routes]
    return [(re.sub(r"\{\w+\}", "{}", text), text) for text in shown]


def _named(pick: Callable[[Declared], Sequence[str]]) -> Callable[[Declared], list[_Found]]:
    return lambda own: [(name, name) for name in pick(own)]


_UNIQUE: dict[str, Callable[[Declared], list[_Found]]] = {
    "route": _routes,
    "job": _named(lambda own: own.jobs),
    "command": _named(lambda own: own.commands),
    "schedule": _named(lambda own: own.schedules),
    "task": _named(lambda own: own.tasks),
    "sink": _named(lambda own: own.sinks),
    "saga": _named(lambda own: [f"{saga.name} version {saga.version}" for saga in own.sagas]),
    "handler": _named(lambda own: list(own.subscriptions)),
}
