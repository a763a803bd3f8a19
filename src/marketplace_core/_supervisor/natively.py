"""A deployment on servers of this machine: its file, with an address that ``up`` starts in place of each of others."""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path
from typing import Any

from msgspec.structs import fields

from marketplace_core._plugins.registry import installed_plugins
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.deployment._kinds import EMBEDDED, installed_kinds
from marketplace_core.deployment._model import Deployment, Resource
from marketplace_core.deployment._toml import toml

__all__ = ["natively"]

_LOOPBACK = ["127.0.0.0/8", "::1/128"]
#: The foreign services that a program of ours plays here, by the plugin beside which its own lives.
_PLAYED = {"payments": "payments", "carriers": "logistics"}


def natively(deployment: Deployment, data: Path) -> Path:
    """Write what :func:`rewritten` gives into the data folder, under a name of its content: what runs on another one keeps it.

    :raises EmbeddedError: a server of it cannot be started here.
    """
    head = f"Made of {deployment.file} by `marketplace up --servers native`: change that one instead."
    text = toml(rewritten(deployment, data.resolve()), head)
    path = data.resolve() / "native" / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def rewritten(deployment: Deployment, data: Path) -> dict[str, Any]:
    """The tables of its file, for this machine.

    Every resource is embedded, secrets are made by ``up``, proxies have certificates that it makes, foreign services are
    played, and internal hosts are for this machine, too. What the marketplace itself is made of stays as it is.
    """
    raw = tomllib.loads(deployment.file.read_text(encoding="utf-8"))
    own = raw["deployment"]
    raw["deployment"] = {name: value for name, value in own.items() if name not in ("secret", "former_secret")}
    raw["deployment"] |= {"name": deployment.name, "profile": "embedded"}
    raw["resources"] = {name: _embedded(resource) for name, resource in deployment.resources.items()}
    if not deployment.simulators:
        _play(raw, deployment)
    for name, edge in deployment.edge.items():
        if edge.tls is not None:
            raw["edge"][name]["tls"] = f"file:{os.fspath(data / 'edge' / f'{name}.pem')}"
        if edge.internal:
            raw["edge"][name]["allow"] = sorted({*edge.allow, *_LOOPBACK})
    return raw


def _embedded(resource: Resource) -> dict[str, Any]:
    """What its table says that the server here knows as well. :raises EmbeddedError: there is none here."""
    kinds = installed_kinds().by_name
    kind = kinds.get(resource.kind)
    if kind is not None and kind.native is None and kind.here is not None:
        kind = kinds.get(kind.here)
    if kind is None:
        raise EmbeddedError(f"resources.{resource.name} does not say what server it is", 'write kind = "postgres", or another')
    if kind.native is None:
        cause = f"resources.{resource.name} is a server of the kind {kind.name!r}, which cannot be started here"
        raise EmbeddedError(cause, "run it yourself, and leave out --servers native")
    known = {field.encode_name for field in fields(kind.settings_of(embedded=True))}
    return {"url": EMBEDDED + kind.name, **{name: value for name, value in resource.settings.items() if name in known}}


def _play(raw: dict[str, Any], deployment: Deployment) -> None:
    for simulator, plugin in _PLAYED.items():
        player = f"{simulator}_simulator"
        if plugin not in deployment.plugins or player not in installed_plugins():
            continue
        raw.setdefault("simulators", {})[simulator] = {}
        raw["plugins"].setdefault(player, {})
        home = raw["services"][deployment.service_of(plugin).name]["plugins"]
        if deployment.service_naming(player) is None:
            home.append(player)
