"""Extension hooks: any number of plugins take part in the work itself.

A *check* returns problems; a *contribution* returns values that are merged in the deployment's order, a collision being an
error. Implementations are ``async def``, take a batch, and are awaited one after another with a time limit each.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from marketplace_core import metrics

__all__ = ["ExtensionError", "Extensions"]

log = structlog.get_logger("marketplace.extensions")

K = TypeVar("K")
V = TypeVar("V")


class ExtensionError(RuntimeError):
    """An extension failed; names the plugin and the hook."""

    def __init__(self, plugin: str, hook: str, cause: str) -> None:
        super().__init__(f"the plugin {plugin!r} failed in the hook {hook!r}: {cause}")
        self.plugin, self.hook = plugin, hook


class Extensions:
    """The extension hooks of one process, in the order in which the deployment lists the plugins."""

    def __init__(
        self, implementations: Mapping[str, Sequence[tuple[str, Callable[..., Any]]]], limit: float, *, trace: bool = False
    ) -> None:
        """``implementations``: per hook, ``(plugin, function)`` in order; ``limit``: seconds each may take.

        ``trace``: log every call.
        """
        self._trace = trace
        self._implementations = implementations
        self._limit = limit
        self._counted: dict[tuple[str, str], metrics.Outcomes] = {}

    def implemented(self, hook: str) -> bool:
        """Whether any plugin takes part: what is gathered for nobody costs too much on a hot path."""
        return bool(self._implementations.get(hook))

    async def check(self, hook: str, **arguments: Any) -> list[Any]:
        """All problems of all implementations."""
        return [problem for _, found in await self._call(hook, arguments) for problem in found or ()]

    async def contribute(self, hook: str, **arguments: Any) -> dict[Any, Any]:
        """The contributions merged by key; two plugins giving one key is an error of the deployment."""
        merged: dict[Any, Any] = {}
        givers: dict[Any, str] = {}
        for plugin, values in await self._call(hook, arguments):
            if not isinstance(values, Mapping | None):
                raise ExtensionError(plugin, hook, f"it gives a {type(values).__name__} and no mapping")
            for key, value in (values or {}).items():
                if key in merged:
                    raise ExtensionError(plugin, hook, f"{key!r} is contributed by the plugin {givers[key]!r} too")
                merged[key], givers[key] = value, plugin
        return merged

    def _took(self, plugin: str, hook: str) -> metrics.Outcomes:
        found = self._counted.get((plugin, hook))
        if found is None:
            found = self._counted[plugin, hook] = metrics.Outcomes(metrics.EXTENSION, plugin, hook, known=("ok", "failed"))
        return found

    async def _call(self, hook: str, arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
        answers = []
        for plugin, function in self._implementations.get(hook, ()):
            wanted = _accepted(function, arguments)
            if self._trace:
                log.info("hook", plugin=plugin, hook=hook)
            # Not wait_for: on Python 3.11 it may swallow a cancellation.
            limit = asyncio.timeout(self._limit)
            took, began = self._took(plugin, hook), time.perf_counter()
            try:
                async with limit:
                    answers.append((plugin, await function(**wanted)))
                took.observe("ok", time.perf_counter() - began)
            except Exception as error:
                took.observe("failed", time.perf_counter() - began)
                if limit.expired():
                    raise ExtensionError(plugin, hook, f"it took longer than {self._limit} s") from None
                raise ExtensionError(plugin, hook, f"{type(error).__name__}: {error}") from error
        return answers


def _accepted(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """As pluggy does, an implementation may leave out arguments that it does not look at."""
    names: Iterable[str] = inspect.signature(function).parameters
    return {name: value for name, value in arguments.items() if name in names}
