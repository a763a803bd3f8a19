"""The vocabulary of the marketplace: one module per capability, each with values, events, errors, port and hook specs.

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

__all__ = ["declare", "load_all"]

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


@cache
def _core() -> Mapping[str, ModuleType]:
    return {module.name: importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)}
