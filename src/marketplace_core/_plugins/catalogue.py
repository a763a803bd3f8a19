"""What plugins are and declare, as plain values: for ``marketplace plugins``, and for whoever documents them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from marketplace_core._plugins.declarations import Declared
from marketplace_core._plugins.registry import Registry, installed_plugins, load_plugins
from marketplace_core.deployment import load_all
from marketplace_core.deployment._model import Deployment, PluginEntry
from marketplace_core.deployment._problems import Problems
from marketplace_core.deployment._settings import decode
from marketplace_core.events import EVENTS

__all__ = ["deployed", "described", "installed"]


def deployed(file: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The plugins of a deployment, in its order. :raises DeploymentErrors: it has problems."""
    made = load_all(file, secrets=False)
    return [_item(made.registry, name, made.declared) for name in made.registry.infos]


def installed() -> list[dict[str, Any]]:
    """Every plugin of this environment by name, with its defaults; one that cannot be used has ``problems``."""
    names = sorted(installed_plugins())
    registry, declared = _by_default(names)
    return [_item(registry, name, declared) for name in names]


def described(name: str) -> dict[str, list[str]]:
    """What an installed plugin declares, by what it is, as its README lists it; what it has none of is left out."""
    registry, declared = _by_default([name])
    item = _item(registry, name, declared)
    kind = registry.settings_kind(name)
    found = {
        "provides": [item["provides"]] if item["provides"] else [],
        "requires": item.get("requires", []),
        "uses": item.get("uses", []),
        "stores": item.get("stores", []),
        "settings": [_setting(field) for field in fields(kind)] if kind is not None else [],
        "routes": item.get("routes", []),
        "events out": sorted(type_ for type_, event in EVENTS.items() if event.topic == item["provides"]),
        "events in": sorted({type_ for types in item.get("subscriptions", {}).values() for type_ in types}),
        "all events": item.get("sinks", []),
        "jobs": item.get("jobs", []),
        "schedules": item.get("schedules", []),
        "sagas": item.get("sagas", []),
        "extension hooks": item.get("extensions", []),
    }
    return {title: items for title, items in found.items() if items}


def _setting(field: FieldInfo) -> str:
    if field.default_factory is not NODEFAULT:
        return f"{field.encode_name} = {field.default_factory()!r}"
    return field.encode_name if field.default is NODEFAULT else f"{field.encode_name} = {field.default!r}"


def _by_default(names: Sequence[str]) -> tuple[Registry, Mapping[str, Declared]]:
    registry = load_plugins(names)
    entries = {name: PluginEntry(name=name, store=next(iter(info.stores), None)) for name, info in registry.infos.items()}
    deployment = Deployment(file=Path("defaults"), name="defaults", currency="EUR", plugins=entries)
    settings = {}
    for name, entry in entries.items():
        decoded = decode(entry, registry.settings_kind(name), Problems("defaults"))
        if decoded is not None:
            settings[name] = decoded
    return registry, registry.declare(deployment, settings)


def _item(registry: Registry, name: str, declared: Mapping[str, Declared]) -> dict[str, Any]:
    info = registry.infos.get(name)
    own = declared.get(name)
    problems = [f"{p.cause}; {p.remedy}" for p in registry.problems if p.plugin == name]
    item: dict[str, Any] = {"name": name, "version": info.version if info else "", "provides": info.provides if info else None}
    if info is not None:
        item |= {
            "requires": list(info.requires),
            "uses": list(info.uses),
            "stores": list(info.stores),
            "hooks": registry.implements(name),
        }
    if own is not None:
        item |= {
            "extensions": list(own.extensions),
            "routes": [f"{route.method} /{route.audience}/v1{route.path}" for route in own.routes],
            "commands": list(own.commands),
            "jobs": list(own.jobs),
            "schedules": list(own.schedules),
            "tasks": list(own.tasks),
            "sinks": list(own.sinks),
            "sagas": [f"{saga.name} version {saga.version}" for saga in own.sagas],
            "subscriptions": {handler: list(types) for handler, types in own.subscriptions.items()},
        }
    return item | ({"problems": problems} if problems else {})
