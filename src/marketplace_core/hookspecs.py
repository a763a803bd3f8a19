"""What any plugin may declare. Composing hooks run once at assembly: plain functions, no I/O, they return declarations.

A capability's own hooks (``provide_<capability>`` and its extension hooks) stand in ``capabilities/<capability>.py``.
In life-cycle order:

1. ``info`` says what the plugin is and needs, ``settings`` how it is configured.
2. ``migrations`` prepare its store.
3. ``provide_<capability>`` makes its service, or ``service`` that of a plugin without a capability; ``extensions`` makes what
   implements extension hooks.
4. ``routers`` are mounted by the processes that answer HTTP; ``commands`` stand among those of ``marketplace``.
5. ``tasks``, ``subscriptions``, ``sinks``, ``jobs``, ``schedules`` and ``sagas`` are run by workers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from msgspec import Struct

if TYPE_CHECKING:
    from typer import Typer

    from marketplace_core.context import PluginContext
    from marketplace_core.http.routing import Router
    from marketplace_core.sagas import Saga

__all__ = [
    "Hooks",
    "Job",
    "Migration",
    "PluginInfo",
    "Schedule",
    "Sink",
    "Task",
    "Weekday",
    "hookimpl",
    "hookspec",
    "migrations_of",
]

PROJECT = "marketplace"
_SCRIPT = re.compile(r"(?P<number>\d+)_(?P<name>\w+)\.(sql|json)")
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class PluginInfo(Struct, frozen=True, kw_only=True):
    """What a plugin is.

    ``provides`` is its capability, or None for a plugin that extends others, listens to them or does something by itself.
    ``requires`` are capabilities whose ports it calls, or that it extends and makes no sense without, ``uses`` those that it
    calls where the deployment has them. ``stores`` are the kinds of store it can keep its truth in (``postgres``, ``redis``,
    …), the first being the default. ``roles`` are further stores of its own, by role, each with the kinds it can be in, as
    ``{"ratings": ("postgres",)}``; a plugin that listens and whose own store is a projection has the role ``inbox``, without
    naming it, where core remembers what it has seen. ``needs`` are
    resources by role that hold no truth of it, as ``{"sessions": "redis"}``. ``core`` is the range of core versions it works
    with. ``before`` and ``after`` order it among the plugins of a deployment. ``exclusive``: its worker runs in one process at
    a time, by a lease on its store, and others stand by.
    ``development``: a production deployment refuses it. ``emits`` are the topics that it emits on beside its capability's, or
    beside that of its own name where it has none.
    """

    name: str
    version: str
    provides: str | None = None
    requires: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = {}
    needs: Mapping[str, str] = {}
    core: str = ">=0.1,<1"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    exclusive: bool = False
    development: bool = False
    emits: tuple[str, ...] = ()

    @property
    def topics(self) -> frozenset[str]:
        """All that it emits on."""
        return frozenset({self.provides or self.name, *self.emits})


class Migration(Struct, frozen=True):
    """One step forward of a plugin's store: of a kind, in a role ("" is the plugin's own). ``number`` counts from 1 for each;
    a released one is never changed."""

    store: str
    number: int
    name: str
    script: str
    role: str = ""


class MisnamedScript(ValueError):
    """A file among a plugin's migrations that is none, or that nobody could put in order."""

    remedy = "call it <number>_<name>.sql, such as 0001_tables.sql, in migrations/<store>, or take it out"


def migrations_of(package: str) -> list[Migration]:
    """What a package keeps in ``migrations/<store>/<number>_<name>.sql`` (or ``.json``); further roles' in
    ``migrations/<role>.<store>``.

    :raises MisnamedScript: one is called otherwise.
    """
    found = []
    for folder in sorted(files(package).joinpath("migrations").iterdir(), key=lambda entry: entry.name):
        if folder.name.startswith(("_", ".")):
            continue
        if not folder.is_dir():
            raise MisnamedScript(f"the script migrations/{folder.name} is in the folder of no store")
        role, _, store = folder.name.rpartition(".")
        for script in folder.iterdir():
            if script.name.startswith(("_", ".")):
                continue
            named = _SCRIPT.fullmatch(script.name)
            if named is None:
                raise MisnamedScript(f"the script migrations/{folder.name}/{script.name} has no number and name")
            found.append(Migration(store, int(named["number"]), named["name"], script.read_text(), role))
    return sorted(found, key=lambda migration: (migration.role, migration.store, migration.number))


class Job(Struct, frozen=True):
    """Work for Arq that no order, payment or shipment waits for. ``method`` is a method of the plugin's service."""

    name: str
    method: Callable[..., Any]
    args: type[Struct] | None = None


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Schedule(Struct, frozen=True):
    """A method of the plugin's service that a worker calls, one call at a time, by the deployment's clock.

    Either ``every`` so long, first at once; or ``at`` a time of day, ``on`` these days of the week or on each, by the clocks of
    the deployment's ``time_zone``, first when that comes after a worker has seen the schedule. However many were missed, one
    call catches up. A time that a day has twice counts once, the first; one that it lacks is later by what clocks were put on.
    """

    name: str
    method: Callable[..., Any]
    every: timedelta | None = None
    at: time | None = None
    on: tuple[Weekday, ...] = ()

    def __post_init__(self) -> None:
        if (self.every is None) == (self.at is None):
            raise ValueError(f"the schedule {self.name!r} needs one of every and at")
        given: object = self.every
        if given is not None and not isinstance(given, timedelta):
            raise TypeError(f"the schedule {self.name!r} has every={given!r}, write timedelta(seconds={given})")
        if self.every is not None and self.every <= timedelta():
            raise ValueError(f"the schedule {self.name!r} needs every above 0")
        if self.at is not None and self.at.tzinfo is not None:
            raise ValueError(f"the schedule {self.name!r} is by the deployment's time zone; give at none")
        if unknown := [day for day in self.on if day not in _WEEK] or (list(self.on) if self.at is None else []):
            raise ValueError(f"the schedule {self.name!r} cannot be on {', '.join(unknown)}; at a time, on {', '.join(_WEEK)}")

    def is_due(self, last: datetime | None, now: datetime, zone: tzinfo) -> bool:
        """``last``: when it last began, or when one ``at`` a time was first seen; None: never."""
        if self.every is not None:
            return last is None or last + self.every <= now
        return last is not None and last < self._latest(now, zone)

    def next_due(self, last: datetime | None, now: datetime, zone: tzinfo) -> datetime:
        """When it is due next, or was due first; ``last`` as above."""
        if last is None or self.is_due(last, now, zone):
            return now
        if self.every is not None:
            return last + self.every
        return next(moment for moment in self._moments(now, zone, range(8)) if moment > now)

    def _latest(self, now: datetime, zone: tzinfo) -> datetime:
        """The last time that it should have begun at, until ``now``."""
        return next(moment for moment in self._moments(now, zone, range(0, -8, -1)) if moment <= now)

    def _moments(self, now: datetime, zone: tzinfo, days: Iterable[int]) -> Iterator[datetime]:
        """Its times on these days, counted from today's."""
        today = now.astimezone(zone).date()
        for day in (today + timedelta(days=number) for number in days):
            if not self.on or _WEEK[day.weekday()] in self.on:
                yield datetime.combine(day, self.at or time(), zone).astimezone(UTC)


class Task(Struct, frozen=True):
    """A method of the plugin's service that a worker runs for as long as it lives, such as an engine's loop."""

    name: str
    method: Callable[..., Any]


class Sink(Struct, frozen=True):
    """A method of the plugin's service that is given events of the deployment in batches: what needs throughput.

    ``topics`` are those that it reads of; none: every topic of the deployment.

    It takes a list of :class:`~marketplace_core.events.Envelope`, at most ``size``, or fewer once the first of them has waited
    ``linger`` seconds, in order for each key. They are acknowledged after it has returned, so that they come at least once:
    who reads what it has written drops repeats by the event's id. A batch that fails is tried again until it does not, and
    holds up nothing but this sink.
    """

    name: str
    method: Callable[..., Any]
    size: int = 1000
    linger: float = 1.0
    topics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 100_000:
            raise ValueError(f"the sink {self.name!r} needs a size from 1 to 100000")
        if not 0 <= self.linger <= 60:
            raise ValueError(f"the sink {self.name!r} needs a linger of 0 to 60 seconds")


class Hooks:
    """The composing hooks of every plugin."""

    @hookspec
    def info(self) -> PluginInfo:  # type: ignore[empty-body]
        """What the plugin is and needs. Called first, before anything of the deployment is known."""

    @hookspec
    def settings(self) -> type[Struct]:  # type: ignore[empty-body]
        """The struct that ``[plugins.<name>]`` is decoded into; unknown keys and bad values stop the boot."""

    @hookspec
    def migrations(self) -> Sequence[Migration]:  # type: ignore[empty-body]
        """Forward-only steps of the plugin's stores."""

    @hookspec
    def service(self, context: PluginContext) -> object:
        """What the handlers, jobs, schedules and tasks of a plugin are methods of that provides no capability."""

    @hookspec
    def extensions(self, context: PluginContext) -> object:
        """An object whose methods implement extension hooks; made in every process whose plugins call them."""

    @hookspec
    def routers(self, context: PluginContext) -> Sequence[Router]:  # type: ignore[empty-body]
        """The plugin's routes, one router per audience. Only ports are at hand: there is no store in a gateway."""

    @hookspec
    def commands(self) -> Sequence[Typer]:  # type: ignore[empty-body]
        """What the plugin adds to the command ``marketplace``, by whatever deployment: see :mod:`marketplace_core.commands`.

        Its distribution says so by an entry point in the group ``marketplace.commands``, too.
        """

    @hookspec
    def tasks(self, context: PluginContext) -> Sequence[Task]:  # type: ignore[empty-body]
        """What runs in the worker for as long as it lives."""

    @hookspec
    def subscriptions(self, context: PluginContext) -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
        """Methods of the service made by :func:`marketplace_core.ports.handler`."""

    @hookspec
    def sinks(self, context: PluginContext) -> Sequence[Sink]:  # type: ignore[empty-body]
        """What is given the events of the deployment, or of some topics, in batches."""

    @hookspec
    def jobs(self, context: PluginContext) -> Sequence[Job]:  # type: ignore[empty-body]
        """What the worker's Arq runs."""

    @hookspec
    def schedules(self, context: PluginContext) -> Sequence[Schedule]:  # type: ignore[empty-body]
        """What the worker does at intervals, or at times of day."""

    @hookspec
    def sagas(self) -> Sequence[Saga]:  # type: ignore[empty-body]
        """The plugin's sagas, old versions included; the orchestrator runs them."""
