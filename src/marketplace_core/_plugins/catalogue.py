"""What plugins are and declare, as plain values: for ``marketplace plugins``, and for whoever documents them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketplace_core._plugins.declarations import Declared
from marketplace_core._plugins.registry import Registry, installed_plugins, load_plugins
from marketplace_core.deployment import load_all
from marketplace_core.deployment._model import Deployment, PluginEntry
from marketplace_core.deployment._problems import Problems
from marketplace_core.deployment._settings import decode

__all__ = ["deployed", "installed"]


def deployed(file: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The plugins of a deployment, in its order. :raises DeploymentErrors: it has problems."""
    made = load_all(file, secrets=False)
    return [_item(made.registry, name, made.declared) for name in made.registry.infos]


def installed() -> list[dict[str, Any]]:
    """Every plugin of this environment by name, with its defaults; one that cannot be used has ``problems``."""
    names = sorted(installed_plugins())
    registry = load_plugins(names)
    entries = {name: PluginEntry(name=name, store=next(iter(info.stores), None)) for name, info in registry.infos.items()}
    deployment = Deployment(file=Path("defaults"), name="defaults", currency="EUR", plugins=entries)
    settings = {}
    for name, entry in entries.items():
        decoded = decode(entry, registry.settings_kind(name), Problems("defaults"))
        if decoded is not None:
            settings[name] = decoded
    declared = registry.declare(deployment, settings)
    return [_item(registry, name, declared) for name in names]


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
            "sagas": [f"{saga.name} version {saga.version}" for saga in own.sagas],
            "subscriptions": {handler: list(types) for handler, types in own.subscriptions.items()},
        }
    return item | ({"problems": problems} if problems else {})
