"""The third pass, as far as it needs the plugins: who provides what, where it runs, and on which resources."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from marketplace_core import capabilities
from marketplace_core.deployment._kinds import installed_kinds
from marketplace_core.deployment._meaning import Unresolved, fits, resolve_roles, tell_unresolved
from marketplace_core.deployment._model import INBOX, ROLES, Deployment, PluginEntry, Service
from marketplace_core.deployment._problems import Problems, likeliest, listed, suggest
from marketplace_core.hookspecs import PluginInfo

if TYPE_CHECKING:
    from marketplace_core._plugins.declarations import Declared

__all__ = ["check_core_version", "deployed_plugins", "gateways_without_auth", "remembering", "wire"]

#: What a route asks of its caller that only auth knows.
_NEED_AUTH = frozenset({"account", "shop", "staff"})


def deployed_plugins(deployment: Deployment, installed: Iterable[str], problems: Problems) -> dict[str, PluginEntry]:
    """Those with a table, in the file's order, then those that only a service names. Unknown names are told once."""
    installed = set(installed)
    found: dict[str, PluginEntry] = {}
    for name, entry in deployment.plugins.items():
        if name in installed:
            found[name] = entry
        elif problems.none_at(f"plugins.{name}"):
            _not_installed(f"plugins.{name}", name, installed, problems)
    for service in deployment.services.values():
        for index, name in enumerate(service.plugins):
            if name in deployment.plugins or name in found:
                continue
            if name in installed:
                found[name] = PluginEntry(name=name)
            else:
                _not_installed(f"services.{service.name}.plugins[{index}]", name, {*installed, *found}, problems)
    return found


def _not_installed(key: str, name: str, known: set[str], problems: Problems) -> None:
    remedy = likeliest(name, known, "install its package, or take it out of the file")
    problems.add(key, f"no plugin {name!r} is installed", remedy)


class _Wiring:
    """``meant`` are plugins that are named and not to be had: what is missing for want of them is not told again."""

    def __init__(self, deployment: Deployment, infos: Mapping[str, PluginInfo], missing: set[str], problems: Problems) -> None:
        self.deployment, self.infos, self.problems = deployment, infos, problems
        self.providers: dict[str, str] = {}
        self.rivals: set[str] = set()
        known = {*capabilities.load_all(), *infos}
        self.meant = missing | {likely for name in missing if (likely := suggest(name, known)) is not None}


def wire(
    deployment: Deployment,
    plugins: Mapping[str, PluginEntry],
    infos: Mapping[str, PluginInfo],
    listening: Collection[str],
    version: str,
    problems: Problems,
) -> Deployment:
    """The deployment with its ``plugins``, every store and role chosen; what cannot be is in ``problems``.

    ``listening``: those that may have to remember what they have seen, though they have no store of their own.
    """
    named = {*deployment.plugins, *(name for service in deployment.services.values() for name in service.plugins)}
    deployment = msgspec.structs.replace(deployment, plugins=dict(plugins))
    wiring = _Wiring(deployment, infos, named - infos.keys(), problems)
    for name, info in infos.items():
        check_core_version(name, info, version, problems)
        if info.development and deployment.profile == "production":
            remedy = "take it out, or set deployment.profile to test"
            problems.add(f"plugins.{name}", "it is for development and tests, and this is a production deployment", remedy)
    _order(infos, problems)
    _providers(wiring)
    _requirements(wiring)
    _placed(wiring)
    _reachable(wiring)
    _workers(wiring)
    needed = {"bus", "jobs", "clock", "cache"} if infos else set()
    if "orchestrator" in wiring.providers:
        needed.add("sagas")
    deployment, unresolved = resolve_roles(deployment, problems, needed=needed)
    wired = dict(plugins)
    for name, info in infos.items():
        wired[name] = _on(deployment, plugins[name], info, name in listening, problems, unresolved)
        if name in listening and not info.stores:
            wired[name] = remembering(deployment, wired[name])
    tell_unresolved(deployment, unresolved, problems)
    services = _alone(deployment, wired, problems)
    return msgspec.structs.replace(deployment, plugins=wired, services=services)


# ── versions and order ───────────────────────────────────────────────────────────────────────────────────────


def check_core_version(name: str, info: PluginInfo, version: str, problems: Problems) -> None:
    try:
        fitting = SpecifierSet(info.core).contains(version, prereleases=True)
    except InvalidSpecifier:
        problems.add(f"plugins.{name}", f"it asks for core {info.core!r}, which is no range of versions", "tell its author")
        return
    if not fitting:
        remedy = "install a version of one that fits the other"
        problems.add(f"plugins.{name}", f"it works with core {info.core}, and this is {version}", remedy)


def _order(infos: Mapping[str, PluginInfo], problems: Problems) -> None:
    place = {name: index for index, name in enumerate(infos)}
    pairs = {(name, other) for name, info in infos.items() for other in info.before if other in place}
    pairs |= {(other, name) for name, info in infos.items() for other in info.after if other in place}
    circular = {pair for pair in pairs if _reaches(pair[1], pair[0], pairs)}
    if circular:
        names = listed({name for pair in circular for name in pair})
        problems.add("plugins", f"the plugins {names} each want to come before the other", "take one of them out")
    for first, second in sorted(pairs - circular, key=lambda pair: (place[pair[1]], place[pair[0]])):
        if place[first] > place[second]:
            problems.add(f"plugins.{second}", f"it must come after {first!r}", f"write [plugins.{first}] above it")


def _reaches(start: str, goal: str, pairs: set[tuple[str, str]]) -> bool:
    seen, open_ = {start}, [start]
    while open_:
        here = open_.pop()
        if here == goal:
            return True
        following = {second for first, second in pairs if first == here} - seen
        seen |= following
        open_ += following
    return False


# ── capabilities ─────────────────────────────────────────────────────────────────────────────────────────────


def _providers(wiring: _Wiring) -> None:
    by_capability: dict[str, list[str]] = {}
    for name, info in wiring.infos.items():
        if info.provides is not None:
            by_capability.setdefault(info.provides, []).append(name)
    for capability, names in by_capability.items():
        picked = [name for name in names if wiring.deployment.plugins[name].pick] or names
        wiring.providers[capability] = picked[0]
        if len(names) > 1:
            wiring.rivals.update(names)
        if len(picked) > 1:
            cause = f"{listed(picked)} both provide {capability!r}"
            remedy = "take one out, or write pick = true in the one that is to be used"
            wiring.problems.add(f"plugins.{picked[1]}", cause, remedy)


def _requirements(wiring: _Wiring) -> None:
    """One line per capability that is missing, whoever needs it."""
    known = capabilities.load_all()
    needing: dict[str, list[str]] = {}
    for name, info in wiring.infos.items():
        for capability in dict.fromkeys(info.requires):
            if capability not in wiring.providers:
                needing.setdefault(capability, []).append(name)
    for capability, names in needing.items():
        if any(capability in meant for meant in wiring.meant):
            continue
        key = f"plugins.{names[0]}"
        if capability not in known and suggest(capability, known):
            remedy = likeliest(capability, known, "")
            wiring.problems.add(key, f"it needs {capability!r}, which is no capability", remedy)
        else:
            cause = (
                f"no plugin provides {capability!r}, which {listed(names)} needs"
                if len(names) == 1
                else (f"no plugin provides {capability!r}, which {listed(names)} need")
            )
            wiring.problems.add(key, cause, f"add [plugins.{capability}], and name it in a service")


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────


def _placed(wiring: _Wiring) -> None:
    deployment, problems = wiring.deployment, wiring.problems
    if not deployment.services:
        if problems.none_at("services"):
            problems.add("services", "there is no service", 'write [services.market] with plugins = ["…"]')
        return
    if any(not service.plugins for service in deployment.services.values()):
        return
    placed = {name for service in deployment.services.values() for name in service.plugins}
    for name, info in wiring.infos.items():
        if info.provides is None or name in placed or name in wiring.rivals or name in wiring.meant:
            continue
        problems.add(f"plugins.{name}", f"no service runs {name!r}", "name it in plugins of one of the [services]")


def _reachable(wiring: _Wiring) -> None:
    """A service that another process calls must listen for it."""
    deployment = wiring.deployment
    callers: dict[str, set[str]] = {}
    for name, info in wiring.infos.items():
        own = deployment.service_naming(name)
        for capability in info.requires:
            provider = deployment.service_naming(wiring.providers.get(capability, ""))
            if own is not None and provider is not None and own is not provider:
                callers.setdefault(provider.name, set()).add(f"services.{own.name}")
    for gateway in deployment.gateways.values():
        if gateway.service is not None and gateway.service not in deployment.services:
            continue
        for service in deployment.services.values():
            provides = any(name in wiring.providers.values() for name in service.plugins)
            if service.name != gateway.service and provides:
                callers.setdefault(service.name, set()).add(f"gateways.{gateway.name}")
    for name, who in callers.items():
        key = f"services.{name}"
        if deployment.services[name].internal is None and wiring.problems.none_at(key, "internal"):
            cause = f"it is missing, and {', '.join(sorted(who))} must reach this service"
            wiring.problems.add(f"{key}.internal", cause, 'write internal = "127.0.0.1:8101"')


def gateways_without_auth(
    deployment: Deployment, infos: Mapping[str, PluginInfo], declared: Mapping[str, Declared], problems: Problems
) -> None:
    """A gateway that asks who somebody is, where nobody can say it, answers nothing but errors."""
    if any(info.provides == "auth" for info in infos.values()) or not problems.none_at("plugins.auth"):
        return
    for gateway in deployment.gateways.values():
        asking = sorted(
            name
            for name, own in declared.items()
            if any(route.audience in gateway.audiences and route.access in _NEED_AUTH for route in own.routes)
        )
        if asking:
            cause = f"the routes of {listed(asking)} need an account, and no plugin provides 'auth'"
            problems.add(f"gateways.{gateway.name}", cause, "add [plugins.auth], and name it in a service")


def _workers(wiring: _Wiring) -> None:
    for service in wiring.deployment.services.values():
        key = f"services.{service.name}"
        known = {*service.plugins, *wiring.deployment.plugins_of(service.name)}
        for worker, patterns in service.workers.items():
            for index, pattern in enumerate(patterns):
                plugin = pattern.partition(".")[0]
                if pattern != "*" and plugin not in known:
                    remedy = likeliest(plugin, known, 'begin it with the name of a plugin of this service, or write "*"')
                    where = f"{key}.workers.{worker}[{index}]"
                    wiring.problems.add(where, f"{pattern!r} names nothing that this service runs", remedy)


def _alone(deployment: Deployment, plugins: Mapping[str, PluginEntry], problems: Problems) -> dict[str, Service]:
    """The services, of which those are told that keep something where one process must own it."""
    kinds = installed_kinds().by_name
    found = {}
    for service in deployment.services.values():
        owned = sorted(
            name
            for name in service.plugins
            for resource in (plugins[name].on.values() if name in plugins else ())
            if (kind := kinds.get(deployment.resources[resource].kind)) is not None and kind.one_process
        )
        if owned and service.replicas > 1:
            cause = f"{listed(owned)} keeps its data where one process must own it"
            problems.add(f"services.{service.name}.replicas", cause, "write replicas = 1, or choose another store")
        found[service.name] = msgspec.structs.replace(service, alone=bool(owned))
    return found


# ── stores and resources ─────────────────────────────────────────────────────────────────────────────────────


def _on(
    deployment: Deployment,
    entry: PluginEntry,
    info: PluginInfo,
    listens: bool,
    problems: Problems,
    unresolved: list[Unresolved],
) -> PluginEntry:
    """The entry with its store and the resource of each of its roles."""
    key = f"plugins.{entry.name}"
    store = entry.store
    if store is not None and store not in info.stores:
        remedy = likeliest(store, info.stores, f"use {listed(info.stores)}" if info.stores else "leave it out")
        problems.add(f"{key}.store", f"it has no store {store!r}", remedy)
        store = None
    roles = _roles(info, store, listens)
    on: dict[str, str] = {}
    by: dict[str, str] = {}
    for name, resource in entry.on.items():
        meant = _meant(name, roles, info, entry.on)
        if not meant:
            remedy = likeliest(name, roles, f"use {listed(roles)}" if roles else "leave it out")
            problems.add(f"{key}.on.{name}", f"it has no role {name!r}", remedy)
        for role in meant:
            if role in by:
                cause = f"on.{by[role]} says where {role!r} is, too"
                problems.add(f"{key}.on.{name}", cause, f"write on.{role}")
            elif fits(deployment, problems, f"{key}.on.{name}", role, resource, roles[role]) and _same(
                deployment, problems, f"{key}.on.{name}", role, resource
            ):
                on[role] = resource
            by[role] = name
    told = not problems.none_at(key, "on")
    for role in sorted(roles.keys() - by.keys(), key=lambda role: (role != info.name, role)):
        kinds = roles[role]
        found = next((chosen for kind in kinds if (chosen := deployment.choose(role, (kind,))) is not None), None)
        if found is None and role in info.roles:
            found = _beside(deployment, on.get(info.name), kinds)
        if found is not None:
            on[role] = found
        elif not told:
            unresolved.append(Unresolved(f"{key}.on.{role if role != info.name else kinds[0]}", role, kinds))
    if info.stores and store is None:
        store = deployment.resources[on[info.name]].kind if info.name in on else info.stores[0]
    return msgspec.structs.replace(entry, store=store, on=on)


def remembering(deployment: Deployment, entry: PluginEntry) -> PluginEntry:
    """The entry with the resource that remembers what a plugin without a store has seen, if it can be told which."""
    found = deployment.choose(entry.name, _remembering())
    return entry if found is None else msgspec.structs.replace(entry, on={**entry.on, entry.name: found})


def _remembering() -> tuple[str, ...]:
    """The kinds of server that remember what a plugin has seen."""
    kinds = installed_kinds().by_name.items()
    return tuple(name for name, kind in kinds if kind.truth and {"inbox", "schedules"} <= kind.keeps)


def _roles(info: PluginInfo, store: str | None, listens: bool) -> dict[str, tuple[str, ...]]:
    """What a plugin wants a server for, and the kinds that will do: its own store has its name.

    One that listens and keeps projections only has its inbox elsewhere.
    """
    stores = info.stores if store is None else (store,)
    own = {info.name: stores} if stores else {}
    kinds = installed_kinds().by_name
    if listens and stores and all(kind in kinds and kinds[kind].truth is None for kind in stores):
        own[INBOX] = _remembering()
    return {**own, **info.roles, **{role: (kind,) for role, kind in info.needs.items()}}


def _meant(name: str, roles: Mapping[str, tuple[str, ...]], info: PluginInfo, on: Mapping[str, str]) -> list[str]:
    """The role of that name; or, of a kind's, the stores of the plugin that can be of it and are not named themselves."""
    if name in roles:
        return [name]
    return [role for role in roles if role not in info.needs and role not in on and name in roles[role]]


def _beside(deployment: Deployment, own: str | None, kinds: tuple[str, ...]) -> str | None:
    """Where the plugin's own store is, if that will do for a further one of which nothing is said."""
    return own if own is not None and deployment.resources[own].kind in kinds else None


def _same(deployment: Deployment, problems: Problems, key: str, role: str, resource: str) -> bool:
    """What others of the deployment read, too, is in one place for all of them."""
    if role not in ROLES or deployment.on.get(role) in (None, resource):
        return True
    cause = f"the gateways look for {role} on {deployment.on[role]!r}, and would not find what is kept on {resource!r}"
    problems.add(key, cause, f"leave it out, and name the server in deployment.on.{role}")
    return False
