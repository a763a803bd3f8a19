"""Servers: what the scheme of a resource's address means, and what a server that can hold truth gives a plugin.

A kind of server is an object of :class:`ServerKind` that an entry point of the group ``marketplace.servers`` names. Core's
own are declared in the same way, so that a package adds a database, a broker or a library in a folder by being installed:

.. code-block:: toml

    [project.entry-points."marketplace.servers"]
    acme = "acme_servers.kind:ACME"

What needs a driver is named by ``"module:function"`` and imported when a server is opened: who reads a deployment's file, or
runs a gateway, loads none.
"""

from __future__ import annotations

import asyncio
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from marketplace_core.ports.outbox import Outbox
from marketplace_core.ports.parking import Parking
from marketplace_core.ports.schedules import Schedules
from marketplace_core.ports.units import Units
from marketplace_core.ports.webhooks_out import WebhookOutbox
from marketplace_core.values import Clock

if TYPE_CHECKING:
    from marketplace_core.adapters.native.server import EmbeddedServer
    from marketplace_core.deployment import Deployment
    from marketplace_core.hookspecs import Migration
    from marketplace_core.metrics import PoolState

__all__ = [
    "MigrationError",
    "Native",
    "Opening",
    "Owner",
    "Server",
    "ServerKind",
    "ServerSettings",
    "Step",
    "Truth",
    "imported",
]


class ServerSettings(Struct, forbid_unknown_fields=True):
    """What a resource's table may hold beside ``url`` and ``kind``; a kind that has settings derives its own."""

    @property
    def lasting(self) -> bool:
        """Whether the server keeps what it is given. What is a cache does not, and plays no role that must last."""
        return True

    @property
    def trial(self) -> str | None:
        """The setting that is for development and tests alone: ``check`` refuses it in a production deployment."""
        return None


class ServerKind(Struct, frozen=True, kw_only=True):
    """A kind of server.

    ``name`` is what plugins name in ``stores`` and ``needs``. ``schemes`` are those of its addresses (``redis``, ``rediss``).
    ``open`` names a function of an :class:`Opening` that gives a :class:`Server`. ``roles`` names, for each role of the
    infrastructure that it can play (``bus``, ``jobs``, …), what makes it of a server. ``truth`` names a function
    ``(server, owner) -> Truth``, where it can hold truth, and ``keeps`` what it has then beside units and an outbox: an
    ``inbox`` with parked keys, without which nobody on it can listen, ``schedules``, a ``lease``, ``migrations``. ``native``
    names a :class:`Native`: with it the address ``embedded:<name>`` is known, too, whose table may hold ``native_settings``;
    where there is none, ``here`` names the kind that stands for it on this machine.
    ``scripts`` names a function for ``check``: of a migration's script and ``<plugin>`` or ``<plugin>.<role>``, it gives what
    the script touches that is not its own, each with how it should be called. Where there is none, scripts are not looked at.
    ``steps``: where each service performs the steps of sagas that call it, a function of the server, the service's capabilities
    and a ``Performer`` that gives a ``StepServer``; what plays ``sagas`` is then given all such capabilities as ``served``.
    ``one_process``: one process must own it. ``path``: its address is a path of this machine; a relative one is beside the
    deployment's file. ``needs`` are modules of an extra, without which it cannot be opened.
    """

    name: str
    schemes: tuple[str, ...] = ()
    open: str
    roles: Mapping[str, str] = {}
    steps: str | None = None
    truth: str | None = None
    keeps: frozenset[str] = frozenset({"inbox", "schedules", "lease", "migrations"})
    scripts: str | None = None
    settings: type[ServerSettings] = ServerSettings
    native: str | None = None
    native_settings: type[ServerSettings] | None = None
    here: str | None = None
    one_process: bool = False
    path: bool = False
    needs: tuple[str, ...] = ()

    def settings_of(self, *, embedded: bool) -> type[ServerSettings]:
        return (self.native_settings or self.settings) if embedded else self.settings


class Opening(Struct, frozen=True):
    """A resource that a process opens: its name, its whole address, its settings as ``ServerKind.settings`` says; and the name
    of the deployment, for what it shares with others."""

    name: str
    url: str
    settings: ServerSettings
    deployment: str = ""


class Server(ABC):
    """One resource as one process uses it. Making it connects to nothing."""

    @property
    @abstractmethod
    def connection(self) -> Any:
        """What a plugin's store works with: a ``Database``, a ``Redis``, a ``Path``, whatever the kind has."""

    @abstractmethod
    async def ready(self) -> None:
        """Returns if it answers, else raises why not."""

    @abstractmethod
    async def close(self) -> None:
        """What is under way ends first."""

    def pools(self) -> Sequence[PoolState]:
        """Its connections, for ``/metrics``."""
        return ()


# ── truth ────────────────────────────────────────────────────────────────────────────────────────────────────


class Step(Struct, frozen=True):
    """A migration that is still to run, or has run. ``plugin`` is ``<plugin>`` or ``<plugin>.<role>``, ``bus`` or ``blobs``."""

    plugin: str
    number: int
    name: str


class MigrationError(Exception):
    """A deployment cannot begin on a server: what is the matter, and what to do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause, self.remedy = cause, remedy


class Owner(Struct, frozen=True):
    """Whose truth it is: a plugin and one of its roles (its own has its name), the ``topics`` that it emits on, and the
    deployment's clock and time zone."""

    plugin: str
    role: str
    topics: frozenset[str]
    clock: Clock
    zone: tzinfo


class Truth(ABC):
    """What a server keeps for one plugin in one of its roles: its own rows beside core's, in one transaction.

    ``place`` names where core's rows are: outbox, parking and schedules of two truths with equal places are the same ones,
    so that one relay sends them.
    """

    place: str

    @property
    @abstractmethod
    def units(self) -> Units: ...

    @property
    @abstractmethod
    def outbox(self) -> Outbox: ...

    @property
    def parking(self) -> Parking | None:
        """None: it has no inbox, and a plugin that listens is refused on it."""
        return None

    @property
    def schedules(self) -> Schedules | None:
        """None: it keeps none, and a plugin that declares some is refused on it."""
        return None

    @property
    def webhooks(self) -> WebhookOutbox | None:
        """Webhooks of the plugin that go out. None: it keeps none."""
        return None

    def lease(self, name: str) -> AbstractAsyncContextManager[asyncio.Task[None]]:
        """Wait until this process alone holds ``name``. The task that is given fails when the lease is lost.

        :raises NotImplementedError: it has none, and a plugin whose worker is ``exclusive`` is refused on it.
        """
        raise NotImplementedError

    async def missing(self, wanted: Mapping[str, Sequence[Migration]]) -> list[Step]:
        """What :meth:`migrate` would run. ``wanted``: the steps by ``<plugin>`` or ``<plugin>.<role>``, of one place.

        :raises MigrationError: the server will not do.
        """
        return []

    async def migrate(self, wanted: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None]) -> list[Step]:
        """Bring it up to date, core's own rows first; two that migrate at once take turns.

        :raises MigrationError: the server will not do, or a step failed.
        """
        return []


# ── on this machine ──────────────────────────────────────────────────────────────────────────────────────────


class Native(ABC):
    """How the embedded resources of a kind run on this machine. Making it touches nothing: clients ask it for addresses.

    ``resources`` are the names of the embedded resources of this kind.
    """

    def __init__(self, deployment: Deployment, data: Path, resources: Sequence[str]) -> None:
        self.deployment, self.data, self.resources = deployment, data, resources

    @abstractmethod
    def url(self, resource: str) -> str:
        """The address of one, as :class:`Opening` has it."""

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        """The servers to start, by the names under which ``ps`` shows them. Several resources may share one."""
        return ()

    async def prepare(self, when: Literal["before", "after"]) -> None:  # noqa: B027 - some need nothing
        """Make what they need ``before`` the servers are started (folders) or ``after`` (databases)."""


def imported(place: str) -> Any:
    """What ``"module:name"`` names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
