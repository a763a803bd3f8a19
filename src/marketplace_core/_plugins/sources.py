"""What a plugin's own files say: jobs that are queued, errors that are raised, ports that are asked for.

Each is named by a literal, or by a constant of its module, and is not heard of before the line runs; so the lines are read.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from marketplace_core import capabilities
from marketplace_core._plugins.places import shown
from marketplace_core.deployment._problems import likeliest, listed
from marketplace_core.errors import CODES, MarketplaceError
from marketplace_core.hookspecs import PluginInfo

__all__ = ["source_faults"]

_NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_PORTS = {"port": "requires", "optional_port": "uses"}


def source_faults(info: PluginInfo, package: str, jobs: Collection[str]) -> Iterator[tuple[str, str]]:
    """Cause and remedy of what the package's modules name that is nowhere declared. ``jobs`` are the plugin's."""
    for name, tree, path in _modules(package):
        known = vars(sys.modules.get(name, ModuleType(name)))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            for cause, remedy in _wrong(call, known, info, jobs):
                yield f"{_around(tree, call)} ({shown(path)}:{call.lineno}) {cause}", remedy


def _modules(package: str) -> Iterator[tuple[str, ast.Module, str]]:
    """Every file of the package, which is left unread where it cannot be parsed: then nothing imports it."""
    top = sys.modules.get(package)
    for folder in getattr(top, "__path__", ()):
        for file in sorted(Path(folder).rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            name = ".".join([package, *(part for part in parts if part != "__init__")])
            try:
                yield name, ast.parse(file.read_bytes()), str(file)
            except SyntaxError:
                continue


def _around(tree: ast.Module, call: ast.Call) -> str:
    """The name of the innermost function or class that a call stands in, else of the file."""
    name = "the module"
    for node in ast.walk(tree):
        holds = isinstance(node, _NAMED) and node.lineno <= call.lineno <= (node.end_lineno or 0)
        name = node.name if holds and isinstance(node, _NAMED) else name
    return name


def _wrong(call: ast.Call, known: Mapping[str, Any], info: PluginInfo, jobs: Collection[str]) -> Iterator[tuple[str, str]]:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else None
    first = call.args[0] if call.args else None
    if method == "enqueue" and isinstance(job := _value(first, known), str) and job not in jobs:
        remedy = likeliest(job, jobs, f"declare it in the hook 'jobs' ({listed(jobs)})")
        yield f"queues the job {job!r}, which the plugin does not declare", remedy
    if method in _PORTS and isinstance(first, ast.Name):
        yield from _port(known.get(first.id), method, info)
    if isinstance(code := _code(call, known), str) and code not in CODES:
        remedy = likeliest(code, CODES, f"write declare_codes(409, {code!r}), or another status, in the capability's module")
        yield f"raises {code!r}, which is no declared error code", remedy


def _port(port: object, method: str, info: PluginInfo) -> Iterator[tuple[str, str]]:
    if not isinstance(port, type):
        return
    name = capabilities.capability_of(port)
    if capabilities.port_of(name) is not port:
        return
    named = {info.provides, *info.requires, *(info.uses if method == "optional_port" else ())}
    if name not in named:
        yield f"asks for the port of {name!r}, which info() does not name", f"add {name!r} to {_PORTS[method]} there"


def _code(call: ast.Call, known: Mapping[str, Any]) -> object:
    """The code with which an error is made, if this makes one."""
    kind = known.get(call.func.id) if isinstance(call.func, ast.Name) else None
    if not (isinstance(kind, type) and issubclass(kind, MarketplaceError)):
        return None
    names = list(inspect.signature(kind).parameters)
    if "code" not in names:
        return None
    given = {word.arg: word.value for word in call.keywords}
    place = names.index("code")
    return _value(given.get("code") or (call.args[place] if len(call.args) > place else None), known)


def _value(node: ast.expr | None, known: Mapping[str, Any]) -> object:
    if isinstance(node, ast.Constant):
        return node.value
    return known.get(node.id) if isinstance(node, ast.Name) else None
