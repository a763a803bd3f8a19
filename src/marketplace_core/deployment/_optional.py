"""Plugins that a file would like to have: without the package, or the extra, they are not in it."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from importlib.util import find_spec
from typing import Any

from marketplace_core.deployment._kinds import Kinds, prefix_of

__all__ = ["lacking", "without_absent"]


def lacking(needs: tuple[str, ...], find: Callable[[str], object | None] = find_spec) -> list[str]:
    """The modules that are not installed."""
    return [module for module in needs if find(module) is None]


def without_absent(raw: dict[str, Any], installed: Container[str], kinds: Kinds) -> dict[str, Any]:
    """The file as TOML has it, without its ``optional`` plugins that are not to be had, and without the resources and services
    that only they have."""
    plugins, resources, services = (_tables(raw, name) for name in ("plugins", "resources", "services"))
    absent = {
        name
        for name, table in plugins.items()
        if isinstance(table, dict)
        and table.get("optional") is True
        and (name not in installed or any(_lacks(resources.get(on), kinds) for on in _named(table)))
    }
    if not absent:
        return raw
    left = {name: table for name, table in plugins.items() if name not in absent}
    used = {on for table in left.values() for on in _named(table)} | {*_tables(raw.get("deployment"), "on").values()}
    unused = {on for name in absent for on in _named(plugins[name])} - used
    parted = {name: _without(service, absent) for name, service in services.items()}
    return raw | {
        "plugins": left,
        "resources": {name: value for name, value in resources.items() if name not in unused},
        "services": {name: service for name, service in parted.items() if service is not None},
    }


def _tables(raw: Any, name: str) -> dict[str, Any]:
    found = raw.get(name, {}) if isinstance(raw, dict) else {}
    return found if isinstance(found, dict) else {}


def _named(plugin: Any) -> list[str]:
    """The resources that it is on."""
    return [on for on in _tables(plugin, "on").values() if isinstance(on, str)]


def _lacks(resource: Any, kinds: Kinds) -> bool:
    url = resource.get("url") if isinstance(resource, dict) else resource
    kind = kinds.by_prefix.get(prefix_of(url)) if isinstance(url, str) else None
    return kind is not None and bool(lacking(kind.needs))


def _without(service: Any, absent: Container[str]) -> Any:
    """None: all of its plugins are absent."""
    if not isinstance(service, Mapping) or not isinstance(service.get("plugins"), list):
        return service
    left = [name for name in service["plugins"] if name not in absent]
    return {**service, "plugins": left} if left or not service["plugins"] else None
