"""A deployment as a drawing: gateways, services with their plugins, stores; calls, events and extensions between them."""

from __future__ import annotations

from collections.abc import Iterator

from marketplace_core._plugins.declarations import Declared
from marketplace_core.deployment import Loaded

__all__ = ["mermaid"]


def mermaid(made: Loaded) -> str:
    """A Mermaid flowchart. The same deployment gives the same text."""
    return "\n".join(["flowchart LR", *_gateways(made), *_services(made), *_stores(made), *_edges(made)]) + "\n"


def _node(prefix: str, name: str) -> str:
    return f"{prefix}_{name.replace('-', '_')}"


def _gateways(made: Loaded) -> Iterator[str]:
    for gateway in made.deployment.gateways.values():
        yield f'{_node("gateway", gateway.name)}{{{{"{gateway.name}: {", ".join(gateway.audiences)}"}}}}'


def _services(made: Loaded) -> Iterator[str]:
    placed: set[str] = set()
    for service in made.deployment.services.values():
        title = f"{service.name}: one process" if service.alone else service.name
        yield f'subgraph {_node("service", service.name)}["{title}"]'
        for plugin in service.plugins:
            placed.add(plugin)
            yield f'  {_node("plugin", plugin)}["{plugin}"]'
        yield "end"
    for plugin in made.registry.infos:
        if plugin not in placed:
            yield f'{_node("plugin", plugin)}(["{plugin}"])'


def _stores(made: Loaded) -> Iterator[str]:
    for resource in made.deployment.resources.values():
        yield f'{_node("store", resource.name)}[("{resource.name}: {resource.kind or "?"}")]'


def _edges(made: Loaded) -> Iterator[str]:
    """Calls are solid, events and extension hooks dotted with their name, stores thick."""
    providers = _providers(made)
    for gateway in made.deployment.gateways.values():
        for name, declared in made.declared.items():
            if any(route.audience in gateway.audiences for route in declared.routes):
                yield f"{_node('gateway', gateway.name)} --> {_node('plugin', name)}"
    for name, info in made.registry.infos.items():
        for capability in sorted({*info.requires, *info.uses} & providers.keys()):
            yield f"{_node('plugin', name)} --> {_node('plugin', providers[capability])}"
    for name, declared in made.declared.items():
        yield from _dotted(made, name, declared, providers)
    for name, entry in made.deployment.plugins.items():
        for resource in sorted(set(entry.on.values())):
            yield f"{_node('plugin', name)} ==> {_node('store', resource)}"


def _providers(made: Loaded) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, info in made.registry.infos.items():
        if info.provides is not None and (info.provides not in found or made.deployment.plugins[name].pick):
            found[info.provides] = name
    return found


def _dotted(made: Loaded, name: str, declared: Declared, providers: dict[str, str]) -> Iterator[str]:
    topics = {type_.split(".", 1)[0] for types in declared.subscriptions.values() for type_ in types}
    topics |= {topic for sink in declared.work.sinks for topic in sink.topics}
    for topic in sorted(topics & providers.keys()):
        yield f"{_node('plugin', providers[topic])} -. {topic} .-> {_node('plugin', name)}"
    if every := sorted(sink.name for sink in declared.work.sinks if not sink.topics):
        yield f"bus((every event)) -. {' '.join(every)} .-> {_node('plugin', name)}"
    for hook in sorted(declared.extensions):
        capability = made.registry.specs[hook].capability
        if capability in providers:
            yield f"{_node('plugin', name)} -. {hook} .-> {_node('plugin', providers[capability])}"
