"""The vocabulary of the marketplace: one module per capability, each with values, events, errors, port and hook specs;
a long one is a folder that has these as files.

A plugin may bring a capability of its own, such as ``loyalty``: a module of that name with a port ``Loyalty`` and a class of
hook specs, which calls ``declare(__name__)`` as its last line. It is known once the plugin is imported.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

__all__ = ["capability_of", "declare", "load_all", "port_name", "port_of"]

_declared: dict[str, ModuleType] = {}


def declare(module: str) -> None:
    """Make a plugin's module the capability of its last name. :raises ValueError: another module is that already."""
    name = module.rpartition(".")[2]
    taken = _declared.get(name) or _core().get(name)
    if taken is not None and taken.__name__ != module:
        raise ValueError(f"{module} cannot be the capability {name!r}: {taken.__name__} is")
    _declared[name] = sys.modules[module]


def load_all() -> dict[str, ModuleType]:
    """Every capability module: core's, which are imported by this, and those that plugins have declared."""
    return {**_core(), **_declared}


def capability_of(member: Any) -> str:
    """The name of the capability that a port's class, or a method or event of it, is declared in."""
    module: str = member.__module__
    while module:
        parent, _, name = module.rpartition(".")
        if parent == __name__ or (name in _declared and _declared[name].__name__ == module):
            return name
        module = parent
    return str(member.__module__).rpartition(".")[2]


def port_name(capability: str) -> str:
    """How a capability's port is called: ``PriceAlerts`` for ``price_alerts``."""
    return "".join(part.capitalize() for part in capability.split("_"))


def port_of(capability: str) -> type | None:
    """The capability's port, an ABC; None where there is no such capability, or its module has none."""
    found = getattr(load_all().get(capability), port_name(capability), None)
    return found if isinstance(found, type) else None


@cache
def _core() -> Mapping[str, ModuleType]:
    return {module.name: importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)}
