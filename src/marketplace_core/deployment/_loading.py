"""Reading a deployment file, in three passes, with its plugins."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import msgspec

from marketplace_core._plugins.declarations import Declared
from marketplace_core._plugins.registry import Installed, Registry, idle_plugins, installed_plugins, load_plugins
from marketplace_core.deployment._kinds import installed_kinds
from marketplace_core.deployment._limits import unknown_rates
from marketplace_core.deployment._meaning import check_file
from marketplace_core.deployment._model import Deployment
from marketplace_core.deployment._optional import without_absent
from marketplace_core.deployment._problems import Problems
from marketplace_core.deployment._settings import decode
from marketplace_core.deployment._shape import parse, read
from marketplace_core.deployment._wiring import deployed_plugins, gateways_without_auth, wire
from marketplace_core.deployment._workers import check_inboxes, check_workers
from marketplace_core.deployment._writers import check_writers

__all__ = ["Loaded", "load", "load_all", "outline"]


class Loaded(msgspec.Struct, frozen=True):
    """A deployment that has no problem, its plugins, and what they declare."""

    deployment: Deployment
    registry: Registry
    declared: dict[str, Declared]


def load(path: str | os.PathLike[str], *, secrets: bool = True, found: Installed | None = None) -> Deployment:
    """Read and check a deployment file.

    :param secrets: whether what ``env:`` and ``file:`` name must be there.
    :param found: the plugins to choose from; those installed, unless a test says otherwise.
    :raises DeploymentErrors: with every problem.
    """
    return load_all(path, secrets=secrets, found=found).deployment


def load_all(
    path: str | os.PathLike[str], *, secrets: bool = True, found: Installed | None = None, rehearsed: bool = False
) -> Loaded:
    """As :func:`load`, with the plugins.

    :param rehearsed: whether their services are made, too, and their files read, as a check wants it and no process needs it.
    """
    problems = Problems(path)
    deployment = _outline(Path(path), problems, secrets=secrets)
    installed = installed_plugins() if found is None else found
    plugins = deployed_plugins(deployment, installed, problems)
    registry = load_plugins(tuple(plugins), found=installed)
    listening = {name for name in registry.infos if {"subscriptions", "sinks", "schedules"} & set(registry.implements(name))}
    deployment = wire(deployment, plugins, registry.infos, listening, metadata.version("marketplace-core"), problems)
    settings = {}
    for name in registry.infos:
        decoded = decode(deployment.plugins[name], registry.settings_kind(name), problems)
        if decoded is not None:
            settings[name] = decoded
    declared = registry.declare(deployment, settings)
    if not registry.problems:
        unknown_rates(deployment.limits, (route for own in declared.values() for route in own.routes), problems)
    if rehearsed:
        from marketplace_core._plugins.rehearsal import rehearse  # noqa: PLC0415

        registry.problems += rehearse(registry, deployment, settings, declared)
    gateways_without_auth(deployment, registry.infos, declared, problems)
    for problem in registry.problems:
        problems.add(f"plugins.{problem.plugin}", problem.cause, problem.remedy)
    check_workers(deployment, declared, problems)
    idle = idle_plugins(deployment, registry.infos)
    check_writers(deployment, {name: info for name, info in registry.infos.items() if name not in idle}, problems)
    check_inboxes(deployment, declared, problems)
    problems.raise_any()
    return Loaded(deployment, registry, declared)


def outline(path: str | os.PathLike[str], *, secrets: bool = False) -> Deployment:
    """The deployment without its plugins, none of which is imported: for who only starts and shows processes.

    :raises DeploymentErrors: with every problem that shows without them.
    """
    problems = Problems(path)
    deployment = _outline(Path(path), problems, secrets=secrets)
    problems.raise_any()
    return deployment


def _outline(path: Path, problems: Problems, *, secrets: bool) -> Deployment:
    raw = without_absent(parse(path, problems), installed_plugins(), installed_kinds())
    deployment = read(path.absolute(), raw, problems, secrets=secrets)
    check_file(deployment, raw, problems, secrets=secrets)
    return deployment
