"""What the plugins of a deployment read of the bus: events are routed by this, wherever they are applied."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from marketplace_core.deployment._workers import bus_groups, sink_group
from marketplace_core.hookspecs import Sink
from marketplace_core.ports import Bus, event_types, qualified, role_of

if TYPE_CHECKING:
    from marketplace_core._runtime.assembly import Assembly
    from marketplace_core._runtime.context import Context

__all__ = ["Routing"]


class Routing:
    """``context`` gives that of a plugin, which is asked once what it declares."""

    def __init__(self, assembly: Assembly, context: Callable[[str], Context]) -> None:
        self._assembly, self._context = assembly, context

    @cached_property
    def subscriptions(self) -> dict[str, tuple[Callable[..., Any], ...]]:
        """The handlers of each plugin that has some."""
        return self._declared("subscriptions")

    @cached_property
    def sinks(self) -> dict[str, tuple[Sink, ...]]:
        """The sinks of each plugin that has some."""
        return self._declared("sinks")

    def _declared(self, hook: str) -> dict[str, tuple[Any, ...]]:
        asked = {plugin: self._assembly.hook(plugin, hook, context=self._context(plugin)) for plugin in self._assembly.infos}
        return {plugin: tuple(declared) for plugin, declared in asked.items() if declared}

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The bus's groups of the whole deployment, with the topics that each reads."""
        found: dict[str, list[str]] = {}
        for plugin, methods in self.subscriptions.items():
            by_name = {qualified(plugin, method.__name__): method for method in methods}
            for group, (_, handlers) in bus_groups(self._assembly.deployment, plugin, list(by_name)).items():
                found[group] = sorted({type_.topic for name in handlers for type_ in event_types(by_name[name])})
        return found | {sink_group(sink.name): self._heard(sink) for sinks in self.sinks.values() for sink in sinks}

    def _heard(self, sink: Sink) -> list[str]:
        return sorted(sink.topics) or self.emitted

    @cached_property
    def emitted(self) -> list[str]:
        """Every topic that a plugin of the deployment says that it emits on; it can emit on no other."""
        infos = self._assembly.infos.items()
        return sorted({topic for plugin, info in infos if plugin not in self._assembly.idle for topic in info.topics})

    @cached_property
    def topics(self) -> frozenset[str]:
        """Those that somebody reads: events of others are not sent."""
        return frozenset(topic for topics in self.groups.values() for topic in topics)

    def published(self, bus: Bus) -> frozenset[str]:
        """The topics whose events are sent: those that somebody reads, as far as we know."""
        return self._all if bus.public else self.topics

    @cached_property
    def _all(self) -> frozenset[str]:
        return self.topics | frozenset(self.emitted)

    def roles(self, plugin: str) -> dict[str, str]:
        """The handlers of a plugin that write to another store than its own, each with the role of that one."""
        found = {qualified(plugin, method.__name__): role_of(method) for method in self.subscriptions.get(plugin, ())}
        return {name: role for name, role in found.items() if role is not None}

    def names_of(self, plugin: str) -> list[str]:
        """What events of a plugin may wait for: its handlers and sinks, and the groups in which they read."""
        handlers = [qualified(plugin, method.__name__) for method in self.subscriptions.get(plugin, ())]
        sinks = [sink.name for sink in self.sinks.get(plugin, ())]
        return [*handlers, *bus_groups(self._assembly.deployment, plugin, handlers), *sinks, *map(sink_group, sinks)]
