"""The vocabulary of the marketplace: one module per capability, each with values, events, errors, port and hook specs."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

__all__ = ["load_all"]


def load_all() -> dict[str, ModuleType]:
    """Import every capability module of core: their events, errors and hook specs are declared by that."""
    return {module.name: importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)}
