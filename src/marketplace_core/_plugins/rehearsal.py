"""What ``up`` would find, found by ``check``: services made as a process makes them but for its servers, and files read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from marketplace_core import capabilities
from marketplace_core._plugins.declarations import Declared, declaring_context
from marketplace_core._plugins.fitting import Fault, foreign_methods
from marketplace_core._plugins.places import failed, place, returns_nothing
from marketplace_core._plugins.registry import Registry
from marketplace_core._plugins.sources import source_faults
from marketplace_core._plugins.specs import PluginProblem, implementations
from marketplace_core._plugins.standins import involves_stand_in
from marketplace_core.deployment._kinds import installed_kinds
from marketplace_core.deployment._model import Deployment
from marketplace_core.ports.servers import imported

__all__ = ["rehearse"]


def rehearse(
    registry: Registry, deployment: Deployment, settings: Mapping[str, Any], declared: Mapping[str, Declared]
) -> Iterator[PluginProblem]:
    """Problems that plugins' declarations do not show."""
    for name, own in declared.items():
        plugin = registry.manager.get_plugin(name)
        faults = [*_tables(name, own), *source_faults(own.info, _package(plugin), own.jobs)]
        if name in settings:
            faults += _service(registry, deployment, own, settings[name])
        yield from (PluginProblem(name, cause, remedy) for cause, remedy in faults)


def _package(plugin: object) -> str:
    name = getattr(plugin, "__package__", None) or type(plugin).__module__
    return str(name)


def _tables(name: str, own: Declared) -> Iterator[Fault]:
    kinds = installed_kinds().by_name
    for migration in own.migrations:
        kind = kinds.get(migration.store)
        if kind is None or kind.scripts is None:
            continue
        kept = f"{name}.{migration.role}" if migration.role else name
        for touched, right in imported(kind.scripts)(migration.script, kept):
            cause = f"its migration {migration.number}, {migration.name!r}, touches {touched}, outside of its schema"
            yield cause, f"write {right}"


def _service(registry: Registry, deployment: Deployment, own: Declared, settings: Struct) -> Iterator[Fault]:
    name = own.info.name
    plugin = registry.manager.get_plugin(name)
    hooks = implementations(plugin)
    hook = (
        f"provide_{own.info.provides}" if own.info.provides is not None else "service" if "service" in hooks else "extensions"
    )
    implemented = hooks.get(hook)
    if implemented is None:
        return
    context = declaring_context(
        name,
        settings,
        deployment.plugins[name].store,
        currency=deployment.currency,
        tax_included=deployment.tax_included,
        sagas=(),
        loose=True,
    )
    try:
        service = registry.call(name, hook, context=context)
    except Exception as error:
        if not involves_stand_in(error):
            yield failed(hook, error, plugin)
        return
    if service is None:
        yield returns_nothing(hook, implemented[0])
        return
    port = capabilities.port_of(own.info.provides) if own.info.provides is not None else None
    if port is not None and not isinstance(service, port):
        cause = f"its hook {hook!r}, {place(implemented[0])}, gives a {type(service).__name__}, which is no {port.__name__}"
        yield cause, f"derive the class from {port.__name__}"
        return
    yield from foreign_methods(own.work, type(service))
