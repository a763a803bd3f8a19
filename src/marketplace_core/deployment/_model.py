"""A deployment as the rest of core sees it: complete, and checked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from marketplace_core.deployment._edge import Edge, Front
from marketplace_core.deployment._limits import Limits
from marketplace_core.deployment._references import masked, resolve
from marketplace_core.pictures.values import PictureSizes
from marketplace_core.values import Audience

__all__ = ["INBOX", "ROLES", "Deployment", "Gateway", "PluginEntry", "Resource", "Role", "Service", "Simulator"]

Profile = Literal["embedded", "test", "production"]
ClockKind = Literal["system", "movable"]


class Role(Struct, frozen=True):
    """What core itself runs on. ``lasting``: it must keep what it is given. ``like``: where the file says nothing of it, it is
    played by whoever plays that role."""

    lasting: bool = False
    like: str | None = None


#: The roles of the infrastructure; which kinds of server can play one, each kind says (``ServerKind.roles``).
ROLES: dict[str, Role] = {
    "bus": Role(lasting=True),
    "jobs": Role(lasting=True),
    "clock": Role(lasting=True),
    "cache": Role(),
    "sessions": Role(like="cache"),
    "feed": Role(like="cache"),
    "rates": Role(like="cache"),
    "blobs": Role(lasting=True),
    "sagas": Role(lasting=True),
}


#: The role of a plugin's that remembers what it has seen, where its own store is a projection.
INBOX = "inbox"


class Resource(Struct, frozen=True, kw_only=True):
    """A named server, or a folder. ``url`` is as the file has it, so perhaps a reference.

    ``kind`` is ``""`` where only the reference, which was not looked up, would tell. ``lasting``: whether it keeps what it is
    given; a Redis for caches does not. ``trial``: the setting that no production deployment may have.
    """

    name: str
    url: str
    kind: str
    embedded: bool = False
    lasting: bool = True
    trial: str | None = None
    settings: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Resource({self.name!r}, {masked(self.url)!r}, kind={self.kind!r})"


class PluginEntry(Struct, frozen=True, kw_only=True):
    """A plugin of the deployment. ``on`` has a resource for each role that the plugin declares; that of its store has the
    plugin's own name."""

    name: str
    store: str | None = None
    on: dict[str, str] = {}
    pick: bool = False
    settings: dict[str, Any] = {}

    @property
    def home(self) -> str:
        """The role in which core remembers what the plugin has seen, and its schedules."""
        return INBOX if INBOX in self.on else self.name

    def __repr__(self) -> str:
        return f"PluginEntry({self.name!r}, store={self.store!r}, on={self.on!r}, settings={sorted(self.settings)})"


class Service(Struct, frozen=True, kw_only=True):
    """A group of processes. ``internal`` is where each listens for the others, ``address`` how they reach it.

    ``workers`` names worker processes and, by pattern, the jobs, handlers and schedules that each runs. ``alone``: it keeps
    something where one process must own it, so that its HTTP side and its workers are one process.
    """

    name: str
    plugins: tuple[str, ...]
    internal: str | None = None
    address: str | None = None
    replicas: int = 1
    workers: dict[str, list[str]] = {}
    alone: bool = False

    @property
    def reached_at(self) -> str:
        """Where others call it. :raises LookupError: nobody can."""
        if self.address is not None:
            return self.address
        if self.internal is None:
            raise LookupError(f"the service {self.name!r} has no internal address")
        return f"http://{reachable(self.internal)}"


class Gateway(Struct, frozen=True, kw_only=True):
    """Where an audience is answered. ``service`` is the one in whose process it runs; None: in ``replicas`` of its own."""

    name: str
    audiences: tuple[Audience, ...]
    listen: str
    service: str | None = None
    replicas: int = 1

    @property
    def url(self) -> str:
        """How a client on this machine reaches it."""
        return f"http://{reachable(self.listen)}"


class Simulator(Struct, frozen=True, kw_only=True):
    """A foreign service played by a program of ours: ``payments`` or ``carriers``."""

    name: str
    listen: str | None = None


class Deployment(Struct, frozen=True, kw_only=True):
    """One deployment file. ``on`` names the resource of each role of the infrastructure that has one.

    ``secret`` is a reference (``env:`` or ``file:``), or None in the embedded profile, where ``up`` makes one. The one before
    it stays good while ``former_secret`` names it.
    ``time_zone`` is the one by whose clocks schedules have a time of day.
    ``hook_seconds`` is the time limit of each extension hook's implementation. ``trace_to`` is where traces go: an OTLP
    endpoint (or a reference to it), or ``folder:PATH``; ``trace_sample`` the share of them that is recorded.
    """

    file: Path
    name: str
    profile: Profile = "production"
    currency: str
    tax_included: bool = True
    clock: ClockKind = "system"
    time_zone: str = "UTC"
    secret: str | None = None
    former_secret: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    on: dict[str, str] = {}
    hook_seconds: float = 5.0
    trace_hooks: bool = False
    trace_sample: float | None = None
    trace_to: str | None = None
    limits: Limits = Limits()
    pictures: PictureSizes = PictureSizes()
    resources: dict[str, Resource] = {}
    plugins: dict[str, PluginEntry] = {}
    services: dict[str, Service] = {}
    gateways: dict[str, Gateway] = {}
    simulators: dict[str, Simulator] = {}
    edge: dict[str, Edge] = {}
    front: Front = Front()

    def resource_for(self, plugin: str, role: str) -> str:
        """The resource that plays ``role`` for a plugin, as its table says or as was chosen when the file was read.

        :raises LookupError: there is none.
        """
        found = self.plugins[plugin].on.get(role) if plugin in self.plugins else None
        if found is None:
            raise LookupError(f"nothing plays {role!r} for the plugin {plugin!r}; name one in plugins.{plugin}.on.{role}")
        return found

    def choose(self, role: str, kinds: Iterable[str]) -> str | None:
        """The resource that plays a role where the file does not say: that of its name, else the only one that fits."""
        kinds = tuple(kinds)
        if role in self.on and self.resources[self.on[role]].kind in kinds:
            return self.on[role]
        known = ROLES.get(role, Role(lasting=True))
        fitting = [r.name for r in self.resources.values() if r.kind in kinds and (r.lasting or not known.lasting)]
        if role in fitting:
            return role
        if known.like is not None and (like := self.choose(known.like, kinds)) is not None:
            return like
        return fitting[0] if len(fitting) == 1 else None

    def resolve(self, value: str) -> str:
        """What ``env:NAME`` or ``file:PATH`` stands for; any other value as it is.

        :raises marketplace_core.deployment.MissingReference: it is not there.
        """
        return resolve(value, self.file.parent)

    def service_naming(self, plugin: str) -> Service | None:
        return next((service for service in self.services.values() if plugin in service.plugins), None)

    def service_of(self, plugin: str) -> Service:
        """The service in which a plugin lives: that which names it. What none names, as what only extends others, lives in
        the first."""
        return self.service_naming(plugin) or next(iter(self.services.values()))

    def plugins_of(self, service: str) -> tuple[str, ...]:
        """Those that live in a service, in the deployment's order."""
        return tuple(name for name in self.plugins if self.service_of(name).name == service)


def split_address(text: str) -> tuple[str, int] | None:
    """Host and port of ``host:port`` or ``[v6]:port``; None where it is not one."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        return None
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    return None if ":" in host or "/" in host else (host, int(port))


def reachable(listen: str) -> str:
    """The ``host:port`` by which this machine reaches what listens there."""
    return listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
