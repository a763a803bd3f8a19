"""The hooks that exist, and whether an implementation fits. pluggy finds a wrong name late and a wrong colour never.

A *composing* hook is specified by a plain function, an *extension* hook by an ``async def``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from msgspec import Struct

from marketplace_core import capabilities
from marketplace_core._plugins.places import place
from marketplace_core.deployment._problems import likeliest, listed
from marketplace_core.hookspecs import PROJECT, Hooks

__all__ = ["HookSpec", "PluginProblem", "extension_problems", "hook_specs", "implementations", "spec_classes"]

_REFUSED = {
    "hookwrapper": "a wrapper ends before the awaited work does",
    "wrapper": "a wrapper ends before the awaited work does",
    "tryfirst": "the order is that of the deployment's file",
    "trylast": "the order is that of the deployment's file",
    "optionalhook": "a hook that does not exist is a mistake",
}


class PluginProblem(Struct, frozen=True):
    """What is wrong with one plugin, and what its author or its user can do."""

    plugin: str
    cause: str
    remedy: str


class HookSpec(Struct, frozen=True):
    """``capability`` is None for what any plugin may declare; ``extension`` hooks run on the work itself."""

    name: str
    capability: str | None
    extension: bool
    arguments: tuple[str, ...]


def spec_classes() -> Iterator[tuple[str | None, type]]:
    """Every class of hook specifications, with the capability that it belongs to."""
    yield None, Hooks
    for name, module in capabilities.load_all().items():
        for found in vars(module).values():
            if isinstance(found, type) and capabilities.capability_of(found) == name and found.__name__.endswith("Hooks"):
                yield name, found


def hook_specs() -> dict[str, HookSpec]:
    found = {}
    for capability, cls in spec_classes():
        for name, function in vars(cls).items():
            if hasattr(function, f"{PROJECT}_spec"):
                arguments = tuple(inspect.signature(function).parameters)[1:]
                found[name] = HookSpec(name, capability, inspect.iscoroutinefunction(function), arguments)
    return found


def implementations(plugin: object) -> dict[str, tuple[Callable[..., Any], Mapping[str, Any]]]:
    """What a plugin marks as hook implementations: function and marks by the hook's name."""
    found: dict[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {}
    for attribute in dir(plugin):
        function = getattr(plugin, attribute, None)
        marks = getattr(function, f"{PROJECT}_impl", None)
        if callable(function) and isinstance(marks, dict):
            found[marks.get("specname") or attribute] = (function, marks)
    return found


def composing_problems(name: str, plugin: object, specs: Mapping[str, HookSpec]) -> Iterator[PluginProblem]:
    """What would make pluggy refuse, or silently misuse, an implementation of ``plugin``."""
    yield from _unmarked(name, plugin, specs)
    for hook, (function, marks) in implementations(plugin).items():
        spec = specs.get(hook)
        if spec is None:
            remedy = likeliest(hook, specs, "see the hooks in marketplace_core.hookspecs")
            yield PluginProblem(name, f"there is no hook {hook!r}", remedy)
            continue
        if spec.extension:
            remedy = "make it a method of the object that the hook 'extensions' returns"
            yield PluginProblem(name, f"{hook!r} is an extension hook and stands among the composing ones", remedy)
            continue
        for mark, why in _REFUSED.items():
            if marks.get(mark):
                yield PluginProblem(name, f"the hook {hook!r} is marked {mark}", f"leave the mark out ({why})")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            yield PluginProblem(name, f"the hook {hook!r} is async, and it runs at assembly", "write it as a plain def")
        yield from _argument_problems(name, hook, function, spec)


def _unmarked(name: str, plugin: object, specs: Mapping[str, HookSpec]) -> Iterator[PluginProblem]:
    """Functions of the plugin's own module that have a hook's name: pluggy would pass them over."""
    if not isinstance(plugin, ModuleType):
        return
    own = implementations(plugin)
    for attribute, function in vars(plugin).items():
        known = attribute in specs and not specs[attribute].extension and attribute not in own
        if known and inspect.isfunction(function) and function.__module__ == plugin.__name__:
            cause = f"the function {place(function)} has the name of the hook {attribute!r} and is not marked as one"
            yield PluginProblem(name, cause, "write @hookimpl above it, or call it otherwise")


def extension_problems(
    name: str, extensions: object, specs: Mapping[str, HookSpec]
) -> tuple[dict[str, Callable[..., Any]], list[PluginProblem]]:
    """The extension hooks that the public methods of an object implement, and what is wrong with them."""
    found: dict[str, Callable[..., Any]] = {}
    problems: list[PluginProblem] = []
    known = {hook: spec for hook, spec in specs.items() if spec.extension}
    for hook, function in _methods(extensions):
        if hook not in known:
            remedy = likeliest(hook, known, f"begin a helper's name with _, or use {listed(known)}")
            problems.append(PluginProblem(name, f"there is no extension hook {hook!r}", remedy))
            continue
        wrong = list(_argument_problems(name, hook, function, known[hook]))
        if not inspect.iscoroutinefunction(function):
            wrong.append(PluginProblem(name, f"the extension hook {hook!r} is not async", "write it as async def"))
        problems += wrong
        found[hook] = function
    return found, problems


def _methods(extensions: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in dir(extensions):
        if not name.startswith("_") and inspect.isroutine(function := getattr(extensions, name)):
            yield name, function


def _argument_problems(name: str, hook: str, function: Callable[..., Any], spec: HookSpec) -> Iterator[PluginProblem]:
    for argument in inspect.signature(function).parameters:
        if argument not in spec.arguments:
            likely = likeliest(argument, spec.arguments, f"it may take {listed(spec.arguments)}")
            yield PluginProblem(name, f"the hook {hook!r} has no argument {argument!r}", likely)
