"""A plugin's own settings: its table, decoded into the struct that it declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from marketplace_core.deployment._model import Deployment, PluginEntry
from marketplace_core.deployment._problems import Problems
from marketplace_core.deployment._references import is_reference, resolved
from marketplace_core.deployment._shape import dotted, told
from marketplace_core.errors import Invalid
from marketplace_core.validation import convert

__all__ = ["NoSettings", "decode", "decode_settings"]


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a plugin that declares none."""


def decode_settings(deployment: Deployment, kinds: Mapping[str, type[Struct] | None]) -> dict[str, Struct]:
    """The settings of every plugin named in ``kinds``. :raises DeploymentErrors: with every bad key."""
    problems = Problems(deployment.file)
    found = {}
    for name, kind in kinds.items():
        settings = decode(deployment.plugins[name], kind, problems)
        if settings is not None:
            found[name] = settings
    problems.raise_any()
    return found


def decode(entry: PluginEntry, kind: type[Struct] | None, problems: Problems) -> Struct | None:
    """One plugin's settings, or None where they do not fit; a reference that is not there is told elsewhere."""
    try:
        return convert(resolved(entry.settings, problems.folder), kind or NoSettings)
    except Invalid as invalid:
        for problem in invalid.errors:
            if not is_reference(_at(entry.settings, problem.pointer)):
                problems.add(dotted(f"plugins.{entry.name}", problem.pointer), *told(problem.code, problem.detail))
        return None


def _at(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
    return value
