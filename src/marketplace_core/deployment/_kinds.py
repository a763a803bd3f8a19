"""The kinds of server that are installed: entry points of the group ``marketplace.servers``, core's own among them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from marketplace_core.deployment._model import Deployment, Resource
from marketplace_core.ports.servers import Native, ServerKind, ServerSettings, imported

__all__ = ["EMBEDDED", "GROUP", "Kinds", "address_of", "gather", "installed_kinds", "natives", "prefix_of", "settings_of"]

GROUP = "marketplace.servers"
EMBEDDED = "embedded:"


class Kinds(Struct, frozen=True):
    """``by_name`` and ``by_prefix`` of an address; ``broken`` are what is wrong with others, each a sentence."""

    by_name: Mapping[str, ServerKind]
    by_prefix: Mapping[str, ServerKind]
    broken: tuple[str, ...] = ()

    def playing(self, role: str) -> tuple[str, ...]:
        """The kinds that can play a role of the infrastructure."""
        return tuple(name for name, kind in self.by_name.items() if role in kind.roles)


@cache
def installed_kinds() -> Kinds:
    """Core's first, then others in the order of their names: the same on every machine."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: (not entry.value.startswith("marketplace_core."), entry.name))
    return gather(found)


def gather(found: list[EntryPoint]) -> Kinds:
    by_name: dict[str, ServerKind] = {}
    by_prefix: dict[str, ServerKind] = {}
    broken: list[str] = []
    for entry in found:
        package = entry.dist.name if entry.dist is not None else entry.value.partition(".")[0]
        try:
            kind = entry.load()
        except Exception as error:
            broken.append(f"{entry.name!r} of {package} cannot be imported ({type(error).__name__}: {error})")
            continue
        if not isinstance(kind, ServerKind):
            broken.append(f"{entry.name!r} of {package} is no ServerKind ({entry.value} is a {type(kind).__name__})")
            continue
        prefixes = [*kind.schemes, *([EMBEDDED + kind.name] if kind.native is not None else [])]
        taken = [prefix for prefix in prefixes if prefix in by_prefix]
        if kind.name in by_name or taken:
            broken.append(f"{entry.name!r} of {package} brings {taken[0] if taken else kind.name!r}, which another one brings")
            continue
        by_name[kind.name] = kind
        by_prefix |= dict.fromkeys(prefixes, kind)
    return Kinds(by_name, by_prefix, tuple(broken))


def natives(deployment: Deployment, data: Path) -> list[Native]:
    """What runs the embedded resources of a deployment on this machine, a kind at a time."""
    found: dict[str, list[str]] = {}
    for resource in deployment.resources.values():
        if resource.embedded:
            found.setdefault(resource.kind, []).append(resource.name)
    kinds = installed_kinds().by_name
    return [imported(kinds[kind].native or "")(deployment, data, names) for kind, names in found.items()]


def address_of(deployment: Deployment, data: Path, resource: str) -> str:
    """The whole address of any resource: of an embedded one that in the data folder, of others theirs, references resolved.

    :raises KeyError: there is no such resource. :raises marketplace_core.deployment.MissingReference: see ``check``.
    """
    found = deployment.resources[resource]
    kind = installed_kinds().by_name.get(found.kind)
    if found.embedded and kind is not None and kind.native is not None:
        made: Native = imported(kind.native)(deployment, data, [resource])
        return made.url(resource)
    if kind is not None and kind.path:
        address = found.url if found.url.startswith("file:///") else deployment.resolve(found.url)
        path = address.removeprefix("file://")
        path = path if path.startswith("/") else path.partition(":")[2] or path
        return f"file://{os.fspath(deployment.file.parent / path)}"
    return deployment.resolve(found.url)


def settings_of(resource: Resource) -> ServerSettings:
    """What the resource's table says, as its kind has it."""
    kind = installed_kinds().by_name[resource.kind]
    return msgspec.convert(resource.settings, kind.settings_of(embedded=resource.embedded))


def prefix_of(url: str) -> str:
    """What of an address tells its kind: the scheme, or ``embedded:<kind>``."""
    return url if url.startswith(EMBEDDED) else urlsplit(url).scheme
