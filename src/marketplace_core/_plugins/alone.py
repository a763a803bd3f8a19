"""One plugin without a deployment, as its author has it: checked with its defaults, on each store that it offers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from marketplace_core import capabilities
from marketplace_core._plugins.places import shown
from marketplace_core._plugins.registry import Installed, Registry, installed_plugins, load_plugins
from marketplace_core._plugins.rehearsal import rehearse
from marketplace_core._plugins.specs import PluginProblem
from marketplace_core._plugins.standins import LooseStandIn
from marketplace_core.deployment._model import Deployment, PluginEntry
from marketplace_core.deployment._problems import DeploymentProblem, Problems, likeliest, suggest
from marketplace_core.deployment._settings import decode
from marketplace_core.deployment._wiring import check_core_version
from marketplace_core.hookspecs import PluginInfo

__all__ = ["check_plugin"]


def check_plugin(name: str, found: Installed | None = None) -> tuple[DeploymentProblem, ...]:
    """Every problem of an installed plugin; what it requires of others is taken to be there.

    :param found: the plugins to choose from; those installed, unless a test says otherwise.
    """
    installed: Installed = installed_plugins() if found is None else found
    key = f"plugins.{name}"
    if name not in installed:
        problems = Problems(name)
        remedy = likeliest(name, installed, "install its package, as by `pip install --editable .`")
        problems.add(key, f"no plugin {name!r} is installed", remedy)
        return problems.errors().problems
    registry = load_plugins((name,), found=installed)
    problems = Problems(_file(registry, name))
    told = dict.fromkeys(registry.problems)
    for info in registry.infos.values():
        check_core_version(name, info, metadata.version("marketplace-core"), problems)
        told |= dict.fromkeys(_requirements(info))
        for store in info.stores or (None,):
            told |= dict.fromkeys(_on_store(name, store, installed))
    for problem in told:
        problems.add(f"plugins.{problem.plugin}", problem.cause, problem.remedy)
    return problems.errors().problems


def _file(registry: Registry, name: str) -> str:
    path = getattr(registry.manager.get_plugin(name), "__file__", None)
    return shown(path) if path is not None else name


def _requirements(info: PluginInfo) -> Iterator[PluginProblem]:
    """Another plugin may bring along a capability that is not known here, so only what is likely a slip is told."""
    known = capabilities.load_all()
    for capability in (*info.requires, *info.uses):
        if capability not in known and suggest(capability, known) is not None:
            cause = f"it needs {capability!r}, which is no capability"
            yield PluginProblem(info.name, cause, likeliest(capability, known, ""))


def _on_store(name: str, store: str | None, installed: Installed) -> list[PluginProblem]:
    registry = load_plugins((name,), found=installed)
    entry = PluginEntry(name=name, store=store)
    deployment = Deployment(file=Path("defaults"), name="defaults", currency="EUR", plugins={name: entry})
    # Settings that must be given are a matter of the deployment.
    decoded = decode(entry, registry.settings_kind(name), Problems("defaults"))
    settings: dict[str, Any] = {name: LooseStandIn("settings") if decoded is None else decoded}
    declared = registry.declare(deployment, settings)
    return [*registry.problems, *rehearse(registry, deployment, settings, declared)]
