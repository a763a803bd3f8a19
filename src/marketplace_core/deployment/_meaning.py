"""The third pass, as far as no plugin is needed for it: what the sections say of each other."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from marketplace_core.deployment._edge import check_edge, listeners_of
from marketplace_core.deployment._kinds import installed_kinds, natives
from marketplace_core.deployment._model import ROLES, Deployment, Role, split_address
from marketplace_core.deployment._problems import Problems, likeliest, listed
from marketplace_core.deployment._references import MissingReference, is_reference, references, resolve
from marketplace_core.deployment._secrets import KEYS, check_secrets
from marketplace_core.deployment._shape import Raw

__all__ = ["Unresolved", "check_file", "fits", "resolve_roles", "tell_unresolved"]

_SIMULATORS = ("payments", "carriers")
#: Names under which processes of ours are known to ``ps`` and in ``DATA/logs``, beside those of embedded servers.
_OURS = frozenset({"supervisor", "migrate", "check"})


def check_file(deployment: Deployment, raw: Raw, problems: Problems, *, secrets: bool) -> None:
    _deployment(deployment, problems)
    if secrets:
        _references(raw, problems)
        check_secrets(deployment, problems)
    _trials(deployment, problems)
    _addresses(deployment, problems)
    _services(deployment, problems)
    _gateways(deployment, problems)
    _simulators(deployment, problems)
    check_edge(deployment.edge, deployment.front, deployment.gateways, problems)


# ── [deployment] ─────────────────────────────────────────────────────────────────────────────────────────────


def _deployment(deployment: Deployment, problems: Problems) -> None:
    key = "deployment"
    if deployment.clock == "movable" and deployment.profile == "production" and not problems.at(f"{key}.profile"):
        problems.add(f"{key}.clock", "a production clock cannot be moved", 'write clock = "system", or another profile')
    if deployment.secret is None and deployment.profile != "embedded" and problems.none_at(key, "secret", "profile"):
        problems.add(f"{key}.secret", "it is missing", 'write secret = "env:MARKETPLACE_SECRET"')
    for field, value in (("secret", deployment.secret), ("former_secret", deployment.former_secret)):
        if value is not None and not is_reference(value):
            remedy = f'write {field} = "env:MARKETPLACE_{field.upper()}" or "file:PATH"'
            problems.add(f"{key}.{field}", "a secret may not stand in the file", remedy)
    for index, proxy in enumerate(deployment.trusted_proxies):
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            remedy = 'write it as "10.0.0.0/8"'
            problems.add(f"{key}.trusted_proxies[{index}]", f"{proxy!r} is no network of addresses", remedy)


def _trials(deployment: Deployment, problems: Problems) -> None:
    if deployment.profile != "production" or not problems.none_at("deployment", "profile"):
        return
    for resource in deployment.resources.values():
        if resource.trial is not None:
            said = f"{resource.trial} = {resource.settings[resource.trial]!r}"
            problems.add(
                f"resources.{resource.name}.{resource.trial}",
                f"{said} is for a trial, and this is a production deployment",
                "take it out, or choose another profile",
            )


def _references(raw: Raw, problems: Problems) -> None:
    """What ``env:`` and ``file:`` name; the addresses of resources were looked up when their kind was wanted."""
    for key, reference in (found for section, value in raw.items() for found in references(value, section)):
        if key in ("deployment.secret", "deployment.former_secret") and KEYS in os.environ:
            continue  # this process was given its keys, and needs no root of them
        if key.startswith("edge."):
            continue  # certificates are where the proxies are
        if not (key.startswith("resources.") and (key.count(".") == 1 or key.endswith(".url"))):
            _present(key, reference, problems)


def _present(key: str, reference: str, problems: Problems) -> None:
    if problems.at(key):
        return
    try:
        resolve(reference, problems.folder)
    except MissingReference as missing:
        problems.add(key, missing.cause, missing.remedy)


class Unresolved(Struct, frozen=True):
    """A role that no resource plays yet: where it could be named, and the kinds that would do."""

    key: str
    role: str
    kinds: tuple[str, ...]


def resolve_roles(deployment: Deployment, problems: Problems, *, needed: Container[str]) -> tuple[Deployment, list[Unresolved]]:
    """Give each role of the infrastructure its resource; those of ``needed`` that find none are returned."""
    key = "deployment.on"
    chosen = {}
    for role, resource in deployment.on.items():
        if role not in ROLES:
            problems.add(f"{key}.{role}", "there is no such role", likeliest(role, ROLES, f"use {listed(ROLES)}"))
        elif fits(deployment, problems, f"{key}.{role}", role, resource, installed_kinds().playing(role)):
            chosen[role] = resource
    told = not problems.none_at("deployment", "on")
    named = msgspec.structs.replace(deployment, on=chosen)
    unresolved = []
    for role in ROLES:
        if role in deployment.on:
            continue
        kinds = installed_kinds().playing(role)
        found = named.choose(role, kinds)
        if found is not None:
            chosen[role] = found
        elif role in needed and not told:
            unresolved.append(Unresolved(f"{key}.{role}", role, kinds))
    return msgspec.structs.replace(deployment, on=chosen), unresolved


def tell_unresolved(deployment: Deployment, unresolved: Iterable[Unresolved], problems: Problems) -> None:
    """One line for each server that is missing, or not told from another, whoever wants it."""
    if any(not resource.kind for resource in deployment.resources.values()):
        return  # one whose kind is not known may be the one
    by_kind: dict[str, list[Unresolved]] = {}
    for one in unresolved:
        by_kind.setdefault(one.kinds[0], []).append(one)
    for wanting in by_kind.values():
        first = wanting[0]
        others = f", and {len(wanting) - 1} more want one" if len(wanting) > 1 else ""
        fitting = [resource.name for resource in deployment.resources.values() if resource.kind in first.kinds]
        if fitting:
            problems.add(first.key, f"{listed(fitting)} could play {first.role!r}{others}", "name the one that is to")
        else:
            cause = f"no resource can play {first.role!r}{others}"
            problems.add(first.key, cause, f"add one of the kind {' or '.join(first.kinds)} to [resources]")


def fits(deployment: Deployment, problems: Problems, key: str, role: str, name: str, kinds: tuple[str, ...]) -> bool:
    """Whether the named resource exists and can play a role; else the problem is told."""
    resource = deployment.resources.get(name)
    if resource is None:
        remedy = likeliest(name, deployment.resources, f"add it to [resources], or use {listed(deployment.resources)}")
        problems.add(key, f"there is no resource {name!r}", remedy)
        return False
    if resource.kind and resource.kind not in kinds:
        remedy = f"name one of the kind {' or '.join(kinds)}"
        problems.add(key, f"the resource {name!r} is of the kind {resource.kind!r}", remedy)
        return False
    if not resource.lasting and ROLES.get(role, Role(lasting=True)).lasting:
        problems.add(key, f"the resource {name!r} is a cache and forgets", f"name a {resource.kind} whose role is lasting")
        return False
    return True


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────


def _listeners(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for service in deployment.services.values():
        if service.internal is not None:
            yield f"services.{service.name}.internal", service.internal
    for gateway in deployment.gateways.values():
        if gateway.listen:
            yield f"gateways.{gateway.name}.listen", gateway.listen
    for simulator in deployment.simulators.values():
        if simulator.listen is not None:
            yield f"simulators.{simulator.name}.listen", simulator.listen
    yield from listeners_of(deployment.edge, deployment.front)


def _addresses(deployment: Deployment, problems: Problems) -> None:
    taken: dict[int, list[tuple[str, str]]] = {}
    for key, text in _listeners(deployment):
        address = split_address(text)
        if address is None:
            problems.add(key, f"{text!r} is no address to listen on", 'write it as "127.0.0.1:8000"')
            continue
        host, port = address
        other = next((where for where, there in taken.get(port, ()) if _overlap(host, there)), None)
        if other is not None:
            problems.add(key, f"{text} is used by {other} too", "give it another port")
        taken.setdefault(port, []).append((key, host))
    for service in deployment.services.values():
        if service.address is not None:
            parts = urlsplit(service.address)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                key = f"services.{service.name}.address"
                problems.add(key, f"{service.address!r} is no address", 'write it as "http://host:port"')


def _overlap(one: str, other: str) -> bool:
    everywhere = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return one == other or one in everywhere or other in everywhere


def _taken(deployment: Deployment) -> set[str]:
    return {*_OURS, *(name for native in natives(deployment, Path()) for name, _ in native.servers())}


def _services(deployment: Deployment, problems: Problems) -> None:
    where: dict[str, str] = {}
    taken = _taken(deployment)
    for service in deployment.services.values():
        key = f"services.{service.name}"
        if service.name in taken:
            problems.add(key, "another process has this name", "choose another name")
        for index, plugin in enumerate(service.plugins):
            if plugin in where:
                problems.add(f"{key}.plugins[{index}]", f"{plugin!r} is in {where[plugin]} too", "keep it in one place")
            where.setdefault(plugin, f"{key}.plugins[{index}]")
        if not service.workers and problems.none_at(key, "workers"):
            problems.add(f"{key}.workers", "there is no worker", 'leave it out, or write workers = { worker = ["*"] }')


def _gateways(deployment: Deployment, problems: Problems) -> None:
    for gateway in deployment.gateways.values():
        key = f"gateways.{gateway.name}"
        repeated = sorted({audience for audience in gateway.audiences if gateway.audiences.count(audience) > 1})
        if repeated:
            problems.add(f"{key}.audiences", f"{listed(repeated)} is named twice", "name each once")
        if gateway.service is not None and gateway.service not in deployment.services:
            remedy = likeliest(gateway.service, deployment.services, f"use {listed(deployment.services)}")
            problems.add(f"{key}.service", f"there is no service {gateway.service!r}", remedy)
        if gateway.service is not None and gateway.replicas > 1:
            remedy = f"set services.{gateway.service}.replicas, or leave out service"
            problems.add(f"{key}.replicas", "it runs in the processes of its service", remedy)
        if gateway.service is None and gateway.name in deployment.services.keys() | _taken(deployment):
            problems.add(key, "another process has this name", "choose another name, or name the service it runs in")


def _simulators(deployment: Deployment, problems: Problems) -> None:
    for name in deployment.simulators:
        key = f"simulators.{name}"
        if name not in _SIMULATORS:
            remedy = likeliest(name, _SIMULATORS, f"use {listed(_SIMULATORS)}")
            problems.add(key, f"there is no simulator {name!r}", remedy)
        elif deployment.profile == "production" and problems.none_at("deployment", "profile"):
            problems.add(key, "a production deployment has no simulators", "take it out, or choose another profile")
