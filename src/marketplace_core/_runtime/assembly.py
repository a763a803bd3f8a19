"""From a deployment and its plugins to a process: contexts, services, ports and routers. Nothing here runs by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import structlog
from msgspec import Struct
from redis.asyncio import Redis

from marketplace_core import capabilities
from marketplace_core._plugins.declarations import declaring_context
from marketplace_core._plugins.registry import Registry, check_extensions, idle_plugins, load_plugins
from marketplace_core._rpc.client import Target, far_port
from marketplace_core._rpc.runners import Runner, run_port
from marketplace_core._runtime.context import Context
from marketplace_core._runtime.keys import OPERATORS, Keys, grant
from marketplace_core._runtime.pools import OwnPool, ProcessPool, ThreadPool
from marketplace_core._runtime.resources import Resources
from marketplace_core._runtime.routing import Routing
from marketplace_core.deployment import Deployment
from marketplace_core.deployment._kinds import installed_kinds
from marketplace_core.extensions import Extensions
from marketplace_core.hookspecs import Job, Migration, PluginInfo, Schedule, Sink, Task
from marketplace_core.http.routing import Router
from marketplace_core.outbox import Subscription
from marketplace_core.ports import Blobs, Bus, FeedStore, JobQueue, event_types, qualified
from marketplace_core.ports.servers import Owner, Truth, imported
from marketplace_core.sagas import Saga
from marketplace_core.values import Audience, Clock

__all__ = ["Assembly", "Process"]

log = structlog.get_logger("marketplace.hooks")

P = TypeVar("P")

#: What plugins declare to be run.
RUNNING = frozenset({"extensions", "jobs", "routers", "sagas", "schedules", "service", "sinks", "subscriptions", "tasks"})


def capability_ports() -> dict[str, type]:
    """The port of each capability, by the capability's name: the ABC that is named after its module."""
    return {name: port for name in capabilities.load_all() if (port := capabilities.port_of(name)) is not None}


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

    def extending(self, own: Collection[str]) -> frozenset[str]:
        """The plugins that extend what the plugins ``own`` provide."""
        provided = {capability for capability, provider in self.providers.items() if provider in own}
        return frozenset(plugin for plugin, extended in self.extended.items() if extended & provided)

    def grant(self, keys: Keys, process: str) -> str:
        """What ``marketplace secrets`` writes for a service or a gateway: the keys of all plugins that run in it."""
        own = self.deployment.plugins_of(process)
        inside = sorted({*own, *self.extending(own)})
        return grant(keys, self.deployment, process, inside, self.providers.get("auth"))

    @cached_property
    def sagas(self) -> tuple[Saga, ...]:
        return tuple(saga for plugin in self.infos for saga in self.hook(plugin, "sagas") or ())

    @cached_property
    def migrations(self) -> dict[str, Sequence[Migration]]:
        return {plugin: self.hook(plugin, "migrations") or () for plugin in self.infos}

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

    @cached_property
    def truths(self) -> dict[tuple[str, str], str]:
        """The resource of each truth, by plugin and role; a plugin's own role has its name."""
        kinds = installed_kinds().by_name
        return {
            (plugin, role): resource
            for plugin, info in self.infos.items()
            for role, resource in self.deployment.plugins[plugin].on.items()
            if role not in info.needs and kinds[self.deployment.resources[resource].kind].truth is not None
        }

    def databases(self) -> dict[str, dict[str, Sequence[Migration]]]:
        """Per resource that holds truth: what is kept in it, ``<plugin>`` or ``<plugin>.<role>``, with its migrations; a
        plugin's own before those of its further roles, which may take over what was in it."""
        found: dict[str, dict[str, Sequence[Migration]]] = {}
        kinds = installed_kinds().by_name
        for (plugin, role), resource in sorted(self.truths.items(), key=lambda truth: truth[0][0] != truth[0][1]):
            kind = self.deployment.resources[resource].kind
            if "migrations" not in kinds[kind].keeps:
                continue
            own = "" if role == plugin else role
            steps = [step for step in self.migrations[plugin] if (step.store, step.role) == (kind, own)]
            found.setdefault(resource, {})[f"{plugin}.{own}".rstrip(".")] = steps
        return found


class Process:
    """One process of a deployment, its resources not yet opened. Services are made when they are first asked for.

    ``own`` are the plugins whose services live in this process (None: every one); the ports of others are far.
    ``name``: what others know it by when it calls them.
    ``simulators``: addresses of the simulators that run beside the deployment, by name.
    """

    def __init__(
        self,
        assembly: Assembly,
        resources: Resources,
        clock: Clock,
        *,
        keys: Keys,
        name: str = OPERATORS,
        runner: Runner = "local",
        own: frozenset[str] | None = None,
    ) -> None:
        self.assembly = assembly
        self.own = frozenset(assembly.infos) if own is None else own
        self.deployment = assembly.deployment
        self.resources = resources
        self.clock = clock
        self.keys = keys
        self.name = name
        self.runner: Runner = runner
        self.simulators: dict[str, str] = {}
        self._contexts: dict[str, Context] = {}
        self._truths: dict[tuple[str, str], Truth] = {}
        self._services: dict[str, Any] = {}
        self._ports: dict[str, Any] = {}
        self._targets: dict[str, Target] = {}
        self._making: list[str] = []
        self._pools: dict[str, OwnPool] = {}
        self._closing: list[Callable[[], Awaitable[None]]] = []

    # ── infrastructure ───────────────────────────────────────────────────────────────────────────────────────

    def infrastructure_redis(self, role: str) -> Redis:
        return self.resources.redis(self.deployment.on[role])

    @cached_property
    def time_zone(self) -> ZoneInfo:
        return ZoneInfo(self.deployment.time_zone)

    @cached_property
    def blobs(self) -> Blobs:
        made: Blobs = self.resources.play("blobs")
        return made

    @cached_property
    def feeds(self) -> FeedStore:
        made: FeedStore = self.resources.play("feed", f"feeds:{self.deployment.name}")
        return made

    @cached_property
    def bus(self) -> Bus:
        made: Bus = self.resources.play("bus", self.routing.groups)
        return made

    @cached_property
    def queue(self) -> JobQueue:
        made: JobQueue = self.resources.play("jobs", f"jobs:{self.deployment.name}")
        return made

    def truth(self, plugin: str, role: str | None = None) -> Truth:
        """What a plugin keeps in one of its roles; None: its own.

        :raises LookupError: no server plays that role. :raises TypeError: it is on a server that holds no truth.
        """
        key = plugin, role or plugin
        if key not in self._truths:
            name = self.deployment.resource_for(*key)
            kind = installed_kinds().by_name[self.deployment.resources[name].kind]
            if kind.truth is None:
                raise TypeError(f"{plugin!r} keeps {key[1]!r} on {name!r}, and a {kind.name} holds no truth")
            owner = Owner(*key, self.assembly.infos[plugin].topics, self.clock, self.time_zone)
            self._truths[key] = imported(kind.truth)(self.resources.server(name), owner)
        return self._truths[key]

    def home(self, plugin: str) -> Truth:
        """Where core remembers what a plugin has seen and what waits for it, its schedules and its lease: beside its own
        store, or in its role ``inbox`` where that is a projection."""
        return self.truth(plugin, self.deployment.plugins[plugin].home)

    def truths(self, plugins: Collection[str] | None = None) -> list[tuple[str, Truth]]:
        """Those of the plugins that live in this process, or of some of them, with the plugin of each."""
        inside = self.own if plugins is None else plugins
        return [(plugin, self.truth(plugin, role)) for plugin, role in self.assembly.truths if plugin in inside]

    def places(self) -> dict[str, Truth]:
        """One truth for each place where core keeps rows of this process's plugins."""
        return {truth.place: truth for _, truth in reversed(self.truths())}

    def pool(self, name: str, size: int, waiting: int | None, *, processes: bool) -> OwnPool:
        """Made once; closed with the process."""
        if name not in self._pools:
            self._pools[name] = (ProcessPool if processes else ThreadPool)(name, size, waiting)
        return self._pools[name]

    def on_close(self, act: Callable[[], Awaitable[None]]) -> None:
        """Await ``act`` first when the process closes."""
        self._closing.append(act)

    async def close(self) -> None:
        for act in reversed(self._closing):
            with contextlib.suppress(Exception):  # the others are closed all the same
                await act()
        for pool in self._pools.values():
            await pool.close()
        for target in self._targets.values():
            await target.close()
        if "queue" in self.__dict__:
            await self.queue.close()
        await self.resources.close()

    @cached_property
    def routing(self) -> Routing:
        """What the whole deployment reads of the bus."""
        return Routing(self.assembly, self.context)

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
            self._targets[service] = Target(service, found.reached_at, self.keys.between(self.name, service)[0])
        return self._targets[service]

    @cached_property
    def extending(self) -> frozenset[str]:
        """The plugins whose extension hooks this process calls, wherever they live: those of its own capabilities."""
        return self.assembly.extending(self.own)

    def databases(self, *, extending: bool = False) -> dict[str, dict[str, Sequence[Migration]]]:
        """Like the assembly's, of the plugins that live in this process; perhaps also of those that only extend them here."""
        inside = self.own | self.extending if extending else self.own
        found: dict[str, dict[str, Sequence[Migration]]] = {}
        for name, kept in self.assembly.databases().items():
            if wanted := {key: steps for key, steps in kept.items() if key.partition(".")[0] in inside}:
                found[name] = wanted
        return found

    def truth_on(self, resource: str) -> Truth:
        """Any truth on a resource: what they have in common, as its migrations, is asked of it."""
        return next(self.truth(*key) for key, name in self.assembly.truths.items() if name == resource)

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
        for method in self.routing.subscriptions.get(plugin, ()):
            types = tuple(type_.type for type_ in event_types(method))
            yield Subscription(qualified(plugin, method.__name__), types, partial(method, self.service(plugin)))

    def sinks(self, plugin: str) -> Sequence[Sink]:
        return self.routing.sinks.get(plugin, ())

    def jobs(self, plugin: str) -> Sequence[Job]:
        return self.assembly.hook(plugin, "jobs", context=self.context(plugin)) or ()

    def schedules(self, plugin: str) -> Sequence[Schedule]:
        return self.assembly.hook(plugin, "schedules", context=self.context(plugin)) or ()

    def tasks(self, plugin: str) -> Sequence[Task]:
        return self.assembly.hook(plugin, "tasks", context=self.context(plugin)) or ()
