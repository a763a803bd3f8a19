"""Finding plugins by name, checking what they implement, and calling their composing hooks.

Plugins are entry points of the group ``marketplace.plugins``; the value is a module or an object with hook
implementations. Only those that a deployment names are imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib import metadata
from types import MappingProxyType
from typing import Any, Protocol

import pluggy
from msgspec import Struct

from marketplace_core._plugins.declarations import Declared, declaring_context, duplicates, own_problems, service_problems
from marketplace_core._plugins.fitting import Work, is_handler, item_problems, work_problems
from marketplace_core._plugins.places import failed, raised, returns_nothing, said
from marketplace_core._plugins.specs import (
    HookSpec,
    PluginProblem,
    composing_problems,
    extension_problems,
    hook_specs,
    implementations,
    spec_classes,
)
from marketplace_core._plugins.standins import involves_stand_in
from marketplace_core.deployment._model import Deployment
from marketplace_core.deployment._settings import decode_settings
from marketplace_core.hookspecs import PROJECT, PluginInfo
from marketplace_core.ports import event_types, qualified, role_of
from marketplace_core.sagas import Saga

__all__ = [
    "GROUP",
    "Installed",
    "PluginError",
    "PluginProblem",
    "Registry",
    "check_extensions",
    "idle_plugins",
    "installed_plugins",
    "load_plugins",
]

GROUP = "marketplace.plugins"


def idle_plugins(deployment: Deployment, infos: Mapping[str, PluginInfo]) -> frozenset[str]:
    """Providers of what another plugin was picked for: their settings count and their tables stay, nothing of them runs."""
    picked = {info.provides for name, info in infos.items() if info.provides and deployment.plugins[name].pick}
    return frozenset(name for name, info in infos.items() if info.provides in picked and not deployment.plugins[name].pick)


class Loadable(Protocol):
    """What we use of an entry point."""

    def load(self) -> Any: ...


Installed = Mapping[str, Loadable]


class PluginError(Exception):
    """A plugin cannot be used; every problem of it."""

    def __init__(self, problems: Iterable[PluginProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"the plugin {p.plugin!r}: {p.cause}; {p.remedy}" for p in self.problems))


@cache
def installed_plugins() -> Mapping[str, metadata.EntryPoint]:
    """Every plugin of this environment, by name; nothing is imported. A process looks once, through all that is installed."""
    found = sorted(metadata.entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
    return MappingProxyType({entry.name: entry for entry in found})


class Registry:
    """The plugins of one deployment, in its order, with a plugin manager of their own.

    ``problems`` are those found so far; a plugin that could not be registered is in ``broken`` and not in ``infos``.
    """

    def __init__(self, specs: Mapping[str, HookSpec]) -> None:
        self.specs = specs
        self.manager = pluggy.PluginManager(PROJECT)
        for _, cls in spec_classes():
            self.manager.add_hookspecs(cls)
        self.infos: dict[str, PluginInfo] = {}
        self.broken: list[str] = []
        self.problems: list[PluginProblem] = []

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """What one plugin answers to a composing hook; None if it does not implement it."""
        caller = getattr(self.manager.hook, hook)
        for implementation in caller.get_hookimpls():
            if implementation.plugin_name == plugin:
                return implementation.function(*(arguments[name] for name in implementation.argnames))
        return None

    def implements(self, plugin: str) -> list[str]:
        """The composing hooks of a plugin, in the order of their specifications."""
        own = implementations(self.manager.get_plugin(plugin))
        return [name for name in self.specs if name in own]

    def settings_kind(self, plugin: str) -> type[Struct] | None:
        """The struct of a plugin's settings, if it declares one; a hook that fails is added to ``problems``."""
        answer = self._ask(plugin, "settings", one=True)
        return answer[0] if answer else None

    def decode_settings(self, deployment: Deployment) -> dict[str, Struct]:
        """Each plugin's settings, references resolved. :raises DeploymentErrors: they do not fit; see ``load``."""
        return decode_settings(deployment, {name: self.call(name, "settings") for name in self.infos})

    def declare(self, deployment: Deployment, settings: Mapping[str, Struct]) -> dict[str, Declared]:
        """What each plugin declares; what is wrong with it is added to ``problems``."""
        found: dict[str, Declared] = {}
        sagas: list[Saga] = []
        idle = idle_plugins(deployment, self.infos)
        for name in (name for name in self.infos if name not in idle):
            sagas += self._ask(name, "sagas")
        for name in self.infos:
            if name in idle:
                found[name] = Declared(info=self.infos[name], migrations=tuple(self._ask(name, "migrations")))
            elif name in settings:
                found[name] = self._declared(name, deployment, settings[name], sagas)
                self.problems += own_problems(name, found[name])
                self.problems += service_problems(name, found[name], self.implements(name))
        self.problems += duplicates(found)
        return found

    def _declared(self, name: str, deployment: Deployment, settings: Struct, sagas: Sequence[Saga]) -> Declared:
        context = declaring_context(
            name,
            settings,
            deployment.plugins[name].store,
            currency=deployment.currency,
            tax_included=deployment.tax_included,
            sagas=sagas,
        )
        extensions: tuple[str, ...] = ()
        if made := self._ask(name, "extensions", one=True, context=context):
            implemented, wrong = extension_problems(name, made[0], self.specs)
            extensions = tuple(implemented)
            self.problems += wrong
        work = Work(
            jobs=self._ask(name, "jobs", context=context),
            schedules=self._ask(name, "schedules", context=context),
            tasks=self._ask(name, "tasks", context=context),
            sinks=self._ask(name, "sinks", context=context),
            handlers=self._ask(name, "subscriptions", context=context),
        )
        self._tell_all(name, work_problems(work))
        return Declared(
            info=self.infos[name],
            routes=tuple(route for router in self._ask(name, "routers", context=context) for route in router.routes),
            jobs=tuple(job.name for job in work.jobs),
            schedules=tuple(schedule.name for schedule in work.schedules),
            tasks=tuple(task.name for task in work.tasks),
            sinks=tuple(sink.name for sink in work.sinks),
            sagas=tuple(saga for saga in sagas if saga in self._ask(name, "sagas")),
            subscriptions={
                qualified(name, method.__name__): tuple(type_.type for type_ in event_types(method))
                for method in work.handlers
                if is_handler(method)
            },
            roles={
                qualified(name, method.__name__): role
                for method in work.handlers
                if is_handler(method) and (role := role_of(method)) is not None
            },
            migrations=tuple(self._ask(name, "migrations")),
            extensions=extensions,
            commands=self._commands(name),
            work=work,
        )

    def _commands(self, name: str) -> tuple[str, ...]:
        apps = self._ask(name, "commands")
        if not apps:
            return ()
        from marketplace_core._plugins.commands import command_names, command_problems  # noqa: PLC0415 - it needs Typer

        try:
            names = tuple(command_names(apps))
        except Exception as error:
            self.problems.append(PluginProblem(name, f"its commands cannot be made ({said(error)})", "return Typer apps"))
            return ()
        self.problems += command_problems(name, names)
        return names

    def _ask(self, plugin: str, hook: str, *, one: bool = False, **arguments: Any) -> Sequence[Any]:
        """Call a hook whatever it does: what it raises becomes a problem."""
        try:
            answer = self.call(plugin, hook, **arguments)
            items = () if answer is None else (answer,) if one else tuple(answer)
        except Exception as error:
            if not involves_stand_in(error):
                self._tell_all(plugin, [failed(hook, error, self.manager.get_plugin(plugin))])
            return ()
        implemented = implementations(self.manager.get_plugin(plugin)).get(hook)
        if answer is None and implemented is not None:
            self._tell_all(plugin, [returns_nothing(hook, implemented[0])])
        wrong = list(item_problems(hook, items))
        self._tell_all(plugin, wrong)
        return () if wrong else items

    def _tell_all(self, plugin: str, faults: Iterable[tuple[str, str]]) -> None:
        """Each once: some hooks are asked twice."""
        for problem in (PluginProblem(plugin, cause, remedy) for cause, remedy in faults):
            if problem not in self.problems:
                self.problems.append(problem)

    @cached_property
    def providers(self) -> dict[str, list[str]]:
        """Who provides each capability, in the deployment's order."""
        found: dict[str, list[str]] = {}
        for name, info in self.infos.items():
            if info.provides is not None:
                found.setdefault(info.provides, []).append(name)
        return found


def load_plugins(names: Sequence[str], *, found: Installed | None = None) -> Registry:
    """Import and register plugins. pluggy calls the last registered first, so the order is turned round.

    :param found: the plugins to choose from; those installed, unless a test says otherwise.
    """
    installed: Installed = installed_plugins() if found is None else found
    loaded: dict[str, object] = {}
    infos: dict[str, PluginInfo] = {}
    found_problems: dict[str, list[PluginProblem]] = {name: [] for name in names}
    imported = {name: _import(name, installed, problems) for name, problems in found_problems.items()}
    specs = hook_specs()  # once all are imported: they may declare capabilities of their own
    registry = Registry(specs)
    for name, plugin in imported.items():
        problems = found_problems[name]
        if plugin is not None:
            problems += composing_problems(name, plugin, specs)
            info = _info(name, plugin, problems)
            if info is not None:
                infos[name], loaded[name] = info, plugin
        registry.problems += problems
        if problems:
            registry.broken.append(name)
    for name in reversed([name for name in loaded if name not in registry.broken]):
        registry.manager.register(loaded[name], name)
    registry.infos.update({name: info for name, info in infos.items() if name not in registry.broken})
    return registry


def _import(name: str, installed: Installed, problems: list[PluginProblem]) -> object | None:
    entry = installed.get(name)
    if entry is None:
        problems.append(PluginProblem(name, f"no plugin {name!r} is installed", "install its package"))
        return None
    try:
        loaded: object = entry.load()
        return loaded
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = raised(error, getattr(entry, "module", ""))
        remedy = getattr(error, "remedy", "install it anew, or take it out of the file")
        problems.append(PluginProblem(name, f"the plugin {name!r} cannot be imported ({where})", remedy))
    return None


def _info(name: str, plugin: object, problems: list[PluginProblem]) -> PluginInfo | None:
    own = implementations(plugin)
    if "info" not in own:
        if not any("'info'" in problem.cause for problem in problems):
            problems.append(PluginProblem(name, "it does not implement the hook 'info'", "say there what it is"))
        return None
    if any(True for problem in problems if "'info'" in problem.cause):
        return None
    try:
        info = own["info"][0]()
    except Exception as error:
        problems.append(PluginProblem(name, *failed("info", error, plugin)))
        return None
    if not isinstance(info, PluginInfo):
        problems.append(PluginProblem(name, f"its hook 'info' gives a {type(info).__name__}", "return a PluginInfo"))
        return None
    if info.name != name:
        problems.append(PluginProblem(name, f"it calls itself {info.name!r}", f"call it {name!r}, as its entry point does"))
    problems += _provides_problems(name, info, own)
    return info


def _provides_problems(name: str, info: PluginInfo, own: Mapping[str, Any]) -> list[PluginProblem]:
    hooks = {hook for hook in own if hook.startswith("provide_")}
    wanted = set() if info.provides is None else {f"provide_{info.provides}"}
    missing = [
        PluginProblem(name, f"it says that it provides {info.provides!r} and has no hook {hook!r}", "implement the hook")
        for hook in wanted - hooks
    ]
    extra = [
        PluginProblem(name, f"it has the hook {hook!r} and does not say that it provides it", "name it in info().provides")
        for hook in sorted(hooks - wanted)
        if hook in hook_specs()
    ]
    return missing + extra


def check_extensions(
    plugin: str, extensions: object, specs: Mapping[str, HookSpec] | None = None
) -> dict[str, Callable[..., Any]]:
    """The extension hooks that the public methods of ``extensions`` implement. :raises PluginError: one does not fit."""
    found, problems = extension_problems(plugin, extensions, hook_specs() if specs is None else specs)
    if problems:
        raise PluginError(problems)
    return found
