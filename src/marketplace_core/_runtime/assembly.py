"""From a deployment and its plugins to a process: contexts, services, ports and routers. Nothing here runs by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import structlog
from msgspec import Struct
from redis.asyncio import Redis

from marketplace_core import capabilities
from marketplace_core._plugins.declarations import declaring_context
from marketplace_core._plugins.registry import Registry, check_extensions, idle_plugins, load_plugins
from marketplace_core._rpc.client import RPC, Target, far_port
from marketplace_core._rpc.runners import Runner, run_port
from marketplace_core._runtime.context import Context, derive_key
from marketplace_core._runtime.resources import Resources
from marketplace_core.adapters.arq import ArqQueue
from marketplace_core.adapters.folder.blobs import FolderBlobs
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.outbox import RedisOutbox
from marketplace_core.deployment import Deployment
from marketplace_core.deployment._workers import bus_groups
from marketplace_core.extensions import Extensions
from marketplace_core.hookspecs import Job, Migration, PluginInfo, Schedule, Task
from marketplace_core.http.routing import Router
from marketplace_core.outbox import Subscription
from marketplace_core.ports import Blobs, event_types
from marketplace_core.sagas import Saga
from marketplace_core.values import Audience, Clock

__all__ = ["Assembly", "Process"]

log = structlog.get_logger("marketplace.hooks")

P = TypeVar("P")

#: What plugins declare to be run.
RUNNING = frozenset({"extensions", "jobs", "routers", "sagas", "schedules", "service", "subscriptions", "tasks"})


def capability_ports() -> dict[str, type]:
    """The port of each capability, by the capability's name: the ABC that is named after its module."""
    modules = capabilities.load_all()
    return {name: getattr(module, name.capitalize()) for name, module in modules.items()}


class Assembly:
    """A deployment with its plugins, checked; no server is touched."""

    def __init__(self, deployment: Deployment, registry: Registry) -> None:
        self.deployment = deployment
        self.registry = registry
        self.infos: Mapping[str, PluginInfo] = registry.infos
        self.settings: Mapping[str, Struct] = registry.decode_settings(deployment)
        self.ports = capability_ports()

    @staticmethod
    def of(deployment: Deployment) -> Assembly:
        """Of a deployment that was loaded, with the plugins that are installed."""
        return Assembly(deployment, load_plugins(tuple(deployment.plugins)))

    def hook(self, plugin: str, name: str, **arguments: Any) -> Any:
        """What one plugin says to a composing hook, or None."""
        if name in RUNNING and plugin in self.idle:
            return None
        if self.deployment.trace_hooks:
            log.info("hook", plugin=plugin, hook=name)
        return self.registry.call(plugin, name, **arguments)

    @cached_property
    def idle(self) -> frozenset[str]:
        return idle_plugins(self.deployment, self.infos)

    @cached_property
    def providers(self) -> dict[str, str]:
        """The plugin that provides each capability."""
        picked = {info.provides: name for name, info in self.infos.items() if info.provides}
        chosen = {
            info.provides: name for name, info in self.infos.items() if info.provides and self.deployment.plugins[name].pick
        }
        return picked | chosen

    @cached_property
    def sagas(self) -> tuple[Saga, ...]:
        return tuple(saga for plugin in self.infos for saga in self.hook(plugin, "sagas") or ())

    @cached_property
    def migrations(self) -> dict[str, Sequence[Migration]]:
        return {plugin: self.hook(plugin, "migrations") or () for plugin in self.infos}

    def resource_for(self, plugin: str, role: str, kind: str) -> str:
        """The resource that plays ``role`` for a plugin: as its table says, else as the deployment's ``on`` does."""
        return self.deployment.resource_for(plugin, role, kind)

    def store_kind(self, plugin: str) -> str | None:
        info = self.infos[plugin]
        return self.deployment.plugins[plugin].store or (info.stores[0] if info.stores else None)

    @cached_property
    def extended(self) -> dict[str, frozenset[str]]:
        """The capabilities whose hooks each plugin implements; nothing of what it will use is opened."""
        found = {}
        for plugin in self.infos:
            context = declaring_context(
                plugin,
                self.settings[plugin],
                self.store_kind(plugin),
                currency=self.deployment.currency,
                tax_included=self.deployment.tax_included,
                sagas=(),
            )
            made = self.hook(plugin, "extensions", context=context)
            hooks = () if made is None else check_extensions(plugin, made)
            found[plugin] = frozenset(capability for hook in hooks if (capability := self.registry.specs[hook].capability))
        return found

    def databases(self) -> dict[str, dict[str, Sequence[Migration]]]:
        """Per PostgreSQL resource: the plugins that keep tables in it, or rows in core's tables, with their migrations."""
        found: dict[str, dict[str, Sequence[Migration]]] = {}
        for plugin, migrations in self.migrations.items():
            for_postgres = [migration for migration in migrations if migration.store == "postgres"]
            if for_postgres or self._is_kept_in_postgres(plugin):
                resource = self.resource_for(plugin, "postgres", "postgres")
                found.setdefault(resource, {})[plugin] = for_postgres
        return found

    def _is_kept_in_postgres(self, plugin: str) -> bool:
        """Of a plugin without a store of its own: which events it has applied, and when its schedules ran."""
        listens = {"subscriptions", "schedules"} & set(self.registry.implements(plugin))
        return bool(listens) and plugin not in self.idle and self.store_kind(plugin) in {None, "postgres"}


class Process:
    """One process of a deployment, its resources not yet opened. Services are made when they are first asked for.

    ``own`` are the plugins whose services live in this process (None: every one); the ports of others are far.
    ``simulators``: addresses of the simulators that run beside the deployment, by name.
    """

    def __init__(
        self,
        assembly: Assembly,
        resources: Resources,
        clock: Clock,
        *,
        secret: bytes,
        runner: Runner = "local",
        own: frozenset[str] | None = None,
    ) -> None:
        self.assembly = assembly
        self.own = frozenset(assembly.infos) if own is None else own
        self.deployment = assembly.deployment
        self.resources = resources
        self.clock = clock
        self.secret = secret
        self.runner: Runner = runner
        self.simulators: dict[str, str] = {}
        self._contexts: dict[str, Context] = {}
        self._services: dict[str, Any] = {}
        self._ports: dict[str, Any] = {}
        self._targets: dict[str, Target] = {}
        self._making: list[str] = []
        self._closing: list[Callable[[], Awaitable[None]]] = []

    # ── infrastructure ───────────────────────────────────────────────────────────────────────────────────────

    def infrastructure_redis(self, role: str) -> Redis:
        return self.resources.redis(self.deployment.on[role])

    @cached_property
    def time_zone(self) -> ZoneInfo:
        return ZoneInfo(self.deployment.time_zone)

    @cached_property
    def blobs(self) -> Blobs:
        return FolderBlobs(Path(self.resources.url(self.deployment.on["blobs"]).removeprefix("file://")))

    def key(self, purpose: str) -> bytes:
        """32 bytes of the deployment's secret for one purpose."""
        return derive_key(self.secret, purpose)

    @cached_property
    def bus(self) -> RedisBus:
        return RedisBus(self.infrastructure_redis("bus"), groups=self.groups)

    @property
    def jobs_at(self) -> tuple[str, str]:
        """Where the deployment's jobs are queued: address and name."""
        return self.resources.url(self.deployment.on["jobs"]), f"jobs:{self.deployment.name}"

    @cached_property
    def queue(self) -> ArqQueue:
        return ArqQueue(*self.jobs_at)

    def on_close(self, act: Callable[[], Awaitable[None]]) -> None:
        """Await ``act`` first when the process closes."""
        self._closing.append(act)

    async def close(self) -> None:
        for act in reversed(self._closing):
            with contextlib.suppress(Exception):  # the others are closed all the same
                await act()
        for target in self._targets.values():
            await target.close()
        if "queue" in self.__dict__:
            await self.queue.close()
        await self.resources.close()

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The bus's groups of the whole deployment, with the topics that each reads."""
        found: dict[str, list[str]] = {}
        for plugin, methods in self.all_subscriptions.items():
            by_name = {f"{plugin}.{method.__name__}": method for method in methods}
            for group, (_, handlers) in bus_groups(self.deployment, plugin, list(by_name)).items():
                found[group] = sorted({type_.topic for name in handlers for type_ in event_types(by_name[name])})
        return found

    @cached_property
    def all_subscriptions(self) -> dict[str, Sequence[Callable[..., Any]]]:
        """What every plugin of the deployment subscribes to: events are routed by this, wherever they are applied."""
        found: dict[str, Sequence[Callable[..., Any]]] = {}
        for plugin in self.assembly.infos:
            declared = self.assembly.hook(plugin, "subscriptions", context=self.context(plugin))
            if declared:
                found[plugin] = tuple(declared)
        return found

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(topic for topics in self.groups.values() for topic in topics)

    # ── plugins ──────────────────────────────────────────────────────────────────────────────────────────────

    def context(self, plugin: str) -> Context:
        if plugin not in self._contexts:
            self._contexts[plugin] = Context(self, plugin)
        return self._contexts[plugin]

    def service(self, plugin: str) -> Any:
        """What the plugin's handlers, jobs, schedules and tasks are methods of.

        That is what it provides, else its own ``service``, else its extensions.
        """
        if plugin not in self._services:
            hook = self._service_hook(plugin)
            self._services[plugin] = self.assembly.hook(plugin, hook, context=self.context(plugin))
        return self._services[plugin]

    def _service_hook(self, plugin: str) -> str:
        if provides := self.assembly.infos[plugin].provides:
            return f"provide_{provides}"
        return "service" if "service" in self.assembly.registry.implements(plugin) else "extensions"

    def port(self, capability: type[P]) -> P:
        name = capabilities.capability_of(capability)
        if name not in self._ports:
            self._ports[name] = self._make_port(name, capability)
        made: P = self._ports[name]
        return made

    def _make_port(self, name: str, capability: type) -> Any:
        if name in self._making:
            raise RuntimeError(f"ports need each other to be made: {' -> '.join([*self._making, name])}")
        provider = self.assembly.providers.get(name)
        if provider is None:
            raise LookupError(f"no plugin of this deployment provides {name!r}")
        self._making.append(name)
        try:
            if provider not in self.own:
                return far_port(name, capability, self.target(self.deployment.service_of(provider).name))
            return run_port(self.runner, capability, self.service(provider))
        finally:
            self._making.pop()

    def target(self, service: str) -> Target:
        """A service of another process."""
        if service not in self._targets:
            found = self.deployment.services[service]
            self._targets[service] = Target(service, found.reached_at, self.key(RPC))
        return self._targets[service]

    @cached_property
    def extending(self) -> frozenset[str]:
        """The plugins whose extension hooks this process calls, wherever they live: those of its own capabilities."""
        own = {capability for capability, provider in self.assembly.providers.items() if provider in self.own}
        return frozenset(plugin for plugin, extended in self.assembly.extended.items() if extended & own)

    def databases(self, *, extending: bool = False) -> dict[str, dict[str, Sequence[Migration]]]:
        """Like the assembly's, of the plugins that live in this process; perhaps also of those that only extend them here."""
        inside = self.own | self.extending if extending else self.own
        found: dict[str, dict[str, Sequence[Migration]]] = {}
        for name, plugins in self.assembly.databases().items():
            if kept := {plugin: migrations for plugin, migrations in plugins.items() if plugin in inside}:
                found[name] = kept
        return found

    def outboxes(self) -> dict[str, PostgresOutbox | RedisOutbox]:
        """Where the plugins that live here write their events: a database's by its name, a plugin's on Redis by its own."""
        found: dict[str, PostgresOutbox | RedisOutbox] = {
            name: PostgresOutbox(self.resources.database(name)) for name in self.databases()
        }
        for plugin in self.assembly.infos:
            if plugin in self.own and plugin not in self.assembly.idle and self.assembly.store_kind(plugin) == "redis":
                found[plugin] = RedisOutbox(self.context(plugin).redis(), plugin)
        return found

    def plugins_of(self, service: str) -> tuple[str, ...]:
        """Those that live in a service."""
        return self.deployment.plugins_of(service)

    def internal_ports(self) -> dict[str, tuple[type, Any]]:
        """What this process answers to others: each of its capabilities with its declaring class and its service."""
        return {
            name: (self.assembly.ports[name], self.service(provider))
            for name, provider in self.assembly.providers.items()
            if provider in self.own
        }

    @property
    def ports(self) -> Mapping[str, Any]:
        return {name: self.port(self.assembly.ports[name]) for name in self.assembly.providers}

    @cached_property
    def extensions(self) -> Extensions:
        """Those of its capabilities: what extends others would have its store opened for nothing."""
        implementations: dict[str, list[tuple[str, Callable[..., Any]]]] = {}
        for plugin in (name for name in self.assembly.infos if name in self.extending):
            made = self.assembly.hook(plugin, "extensions", context=self.context(plugin))
            if made is None:
                continue
            if self._service_hook(plugin) == "extensions":
                self._services[plugin] = made
            for hook, function in check_extensions(plugin, made).items():
                implementations.setdefault(hook, []).append((plugin, function))
        return Extensions(implementations, self.deployment.hook_seconds, trace=self.deployment.trace_hooks)

    def routers(self, audiences: Sequence[Audience]) -> list[Router]:
        found = []
        for plugin in self.assembly.infos:
            for router in self.assembly.hook(plugin, "routers", context=self.context(plugin)) or ():
                if router.audience in audiences:
                    found.append(router)
        return found

    # ── what a worker runs ───────────────────────────────────────────────────────────────────────────────────

    def subscriptions(self, plugin: str) -> Iterator[Subscription]:
        for method in self.all_subscriptions.get(plugin, ()):
            types = tuple(type_.type for type_ in event_types(method))
            yield Subscription(f"{plugin}.{method.__name__}", types, partial(method, self.service(plugin)))

    def jobs(self, plugin: str) -> Sequence[Job]:
        return self.assembly.hook(plugin, "jobs", context=self.context(plugin)) or ()

    def schedules(self, plugin: str) -> Sequence[Schedule]:
        return self.assembly.hook(plugin, "schedules", context=self.context(plugin)) or ()

    def tasks(self, plugin: str) -> Sequence[Task]:
        return self.assembly.hook(plugin, "tasks", context=self.context(plugin)) or ()
