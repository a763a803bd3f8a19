"""Which worker of a service runs which handlers, jobs, schedules and tasks of its plugins: by patterns, as the file says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from marketplace_core.deployment._kinds import installed_kinds
from marketplace_core.deployment._model import Deployment
from marketplace_core.deployment._problems import Problems, listed

if TYPE_CHECKING:
    from marketplace_core._plugins.declarations import Declared

__all__ = ["bus_groups", "check_inboxes", "check_workers", "runs", "sink_group", "workers_of"]


def runs(patterns: Iterable[str], name: str) -> bool:
    """Whether a worker with these patterns runs what is called ``<plugin>.<name>``."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def workers_of(deployment: Deployment, plugin: str, name: str) -> list[str]:
    """The workers of the plugin's service that run ``name``."""
    service = deployment.service_of(plugin)
    return [worker for worker, patterns in service.workers.items() if runs(patterns, name)]


def bus_groups(deployment: Deployment, plugin: str, handlers: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
    """The groups in which a plugin reads the bus, one for each worker that has some of its handlers.

    :returns: by the group's name, the worker and its handlers.
    """
    service = deployment.service_of(plugin)
    found: dict[str, tuple[str, list[str]]] = {}
    for worker, patterns in service.workers.items():
        own = [name for name in handlers if runs(patterns, name)]
        if own:
            found[plugin if len(own) == len(handlers) else f"{plugin}.{worker}"] = (worker, own)
    return found


def sink_group(sink: str) -> str:
    """The group in which a sink, ``<plugin>.<sink>``, reads the bus: of its own, as no worker's name has a dot."""
    return f"{sink}.sink"


def check_workers(deployment: Deployment, declared: Mapping[str, Declared], problems: Problems) -> None:
    """Each thing is run by one worker: by none it would never be done, by two perhaps twice or out of order."""
    if not deployment.services:
        return
    for plugin, own in declared.items():
        service = deployment.service_of(plugin)
        key = f"services.{service.name}.workers"
        if not problems.none_at(key):
            continue
        for name in _named(own):
            found = workers_of(deployment, plugin, name)
            if not found:
                problems.add(key, f"none of them runs {name!r}", f"add {f'{plugin}.*'!r} to one of {listed(service.workers)}")
            elif len(found) > 1:
                problems.add(key, f"{listed(found)} both run {name!r}", "let one of them have it")
        parted = {worker for job in own.jobs for worker in workers_of(deployment, plugin, job)}
        if len(parted) > 1:
            problems.add(key, f"the jobs of {plugin!r} are parted among {listed(parted)}", "let one of them have all of them")


def check_inboxes(deployment: Deployment, declared: Mapping[str, Declared], problems: Problems) -> None:
    """What listens needs a place for what it has seen, and what has schedules one for when they ran."""
    kinds = installed_kinds().by_name
    for plugin, own in declared.items():
        wanted = {"inbox": [*own.subscriptions, *own.sinks], "schedules": own.schedules, "lease": own.info.exclusive}
        needed = [what for what, declares in wanted.items() if declares]
        if not needed or not problems.none_at(f"plugins.{plugin}"):
            continue
        home = deployment.plugins[plugin].home
        resource = deployment.plugins[plugin].on.get(home)
        if resource is None and own.info.stores:
            continue  # it was told of its store already
        if resource is None:
            cause = "it listens or has schedules, and nothing says which server is to remember what it has seen"
            able = listed(sorted(name for name, kind in kinds.items() if kind.truth and kind.keeps.issuperset(needed)))
            remedy = f"tell its author to name a store that remembers ({able}), or keep one of those servers in the file"
            problems.add(f"plugins.{plugin}", cause, remedy)
            continue
        kind = kinds.get(deployment.resources[resource].kind)
        if kind is None:
            continue  # it was told of its address already, or that is a secret nobody has asked for
        for role in sorted(set(own.roles.values()) & deployment.plugins[plugin].on.keys()):
            other = kinds.get(deployment.resources[deployment.plugins[plugin].on[role]].kind)
            if other is not None and (other.truth is None or "inbox" not in other.keeps):
                cause = f"handlers write to it, and a {other.name} keeps no inbox"
                problems.add(f"plugins.{plugin}.on.{role}", cause, "keep it on another kind of server")
        lacking = [what for what in needed if kind.truth is None or what not in kind.keeps]
        if lacking:
            cause = f"it needs {' and '.join(lacking)}, and a {kind.name} keeps none"
            problems.add(f"plugins.{plugin}.on.{home}", cause, "keep it on another kind of server")


def _named(own: Declared) -> Iterator[str]:
    yield from own.subscriptions
    yield from own.sinks
    yield from own.jobs
    yield from own.schedules
    yield from own.tasks
