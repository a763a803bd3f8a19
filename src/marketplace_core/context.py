"""What a plugin is given when it is assembled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from marketplace_core.events import Event
from marketplace_core.ports import Blobs, Cache, FeedStore, Pool, ProjectionUnits, Units, WebhookOutbox
from marketplace_core.values import Clock

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from marketplace_core.adapters.postgres.server import Database
    from marketplace_core.extensions import Extensions
    from marketplace_core.http.egress import Egress
    from marketplace_core.metrics import PluginMetrics
    from marketplace_core.origins import Origins
    from marketplace_core.pictures import Pictures
    from marketplace_core.ports.engine import Journal, SagaEngine
    from marketplace_core.sagas import Performer, Saga

__all__ = ["PluginContext"]

P = TypeVar("P")
S = TypeVar("S")
C = TypeVar("C", bound=Struct)


class PluginContext(ABC):
    """One plugin in one process: its settings, its stores, and the ports of the others."""

    name: str
    clock: Clock
    currency: str
    tax_included: bool
    origins: Origins

    @abstractmethod
    def config(self, kind: type[C]) -> C:
        """The plugin's settings, as its ``settings`` hook declares them."""

    @abstractmethod
    def port(self, capability: type[P]) -> P:
        """The capability's port, wherever its provider runs."""

    @abstractmethod
    def optional_port(self, capability: type[P]) -> P | None:
        """The capability's port, or None where the deployment has no provider of it."""

    @property
    @abstractmethod
    def sagas(self) -> Sequence[Saga]:
        """Every saga of the deployment's plugins."""

    @property
    @abstractmethod
    def ports(self) -> Mapping[str, Any]:
        """Every capability's port by name: what sagas call."""

    @abstractmethod
    def saga_engine(self, performer: Performer, journal: Journal) -> SagaEngine:
        """The engine that the deployment's ``on.sagas`` says, with every saga of its plugins. It opens nothing by itself."""

    @abstractmethod
    def store(self, makers: Mapping[str, Callable[[PluginContext], S] | str], role: str | None = None) -> S:
        """The store that the deployment chose among ``makers``, by the kind of its server.

        A maker may be named, as ``"marketplace_reviews.stores.mongo:make"``: its module, and the driver that it imports, are
        loaded only where that store is chosen. ``role``: of a plugin with several stores; None: its own, which has its name.
        """

    @abstractmethod
    def connection(self, role: str | None = None) -> Any:
        """What stores in ``role`` work with: what the kind of server gives (``ServerKind.open``)."""

    @property
    @abstractmethod
    def database(self) -> Database:
        """:meth:`connection` where it is a PostgreSQL."""

    @abstractmethod
    def redis(self, role: str | None = None) -> Redis:
        """:meth:`connection` where it is a Redis: the truth of a store, or what is in ``needs``."""

    @property
    @abstractmethod
    def units(self) -> Units:
        """Units of work on the plugin's own store."""

    @abstractmethod
    def units_of(self, role: str | None) -> Units:
        """Those of the store in ``role``, where a plugin has several."""

    @property
    @abstractmethod
    def projections(self) -> ProjectionUnits:
        """Units of work on a store of the plugin's that is a projection; see :mod:`marketplace_core.ports.projections`."""

    @abstractmethod
    async def tell(self, events: Sequence[Event]) -> None:
        """Publish what belongs to no unit of work, such as what somebody looks at: durable on the bus once this returns.

        There are many of them and no row is written for one, so they have no sequence: sinks are given them, handlers are not.

        :raises ValueError: the plugin does not declare that it emits on the topic. :raises Unavailable: the bus is away.
        """

    @property
    @abstractmethod
    def cache(self) -> Cache:
        """Encoded public reads."""

    @property
    @abstractmethod
    def feeds(self) -> FeedStore:
        """Ready-made lists of the whole deployment: what one plugin writes another reads."""

    @property
    @abstractmethod
    def blobs(self) -> Blobs: ...

    @property
    @abstractmethod
    def pictures(self) -> Pictures:
        """Pictures that people send, by one path (:mod:`marketplace_core.pictures`)."""

    @property
    @abstractmethod
    def extensions(self) -> Extensions:
        """Calls the extension hooks of other plugins."""

    @property
    @abstractmethod
    def webhooks(self) -> WebhookOutbox:
        """Webhooks of the plugin that go out, in its own store; a task of it sends them
        (:class:`marketplace_core.http.sending.WebhookSender`)."""

    @property
    @abstractmethod
    def egress(self) -> Egress:
        """Asks addresses that people have given: no private ones, but in the embedded and test profiles."""

    @property
    @abstractmethod
    def metrics(self) -> PluginMetrics:
        """Declares what the plugin counts."""

    @abstractmethod
    def key(self, purpose: str) -> bytes:
        """32 bytes derived from the deployment's secret, for one purpose of this plugin; no other plugin can derive them."""

    def keys(self, purpose: str) -> tuple[bytes, ...]:
        """All by which something may have been made, that of :meth:`key` first: a secret that is changed stays good beside the
        new one."""
        return (self.key(purpose),)

    @abstractmethod
    def pool(self, name: str, *, size: int = 0, waiting: int | None = None, processes: bool = False) -> Pool:
        """Where the plugin computes what takes more than 20 ms; the same for the same ``name``, and closed with the process.

        ``size`` at once, of the plugin's settings (0: one for each core), and ``waiting`` more wait (None: any number).
        ``processes``: for what would hold up other threads, or is not to stay in this process with what it imports. They are
        started when they are needed.
        """

    @abstractmethod
    def closing(self, act: Callable[[], Awaitable[None]]) -> None:
        """Await ``act`` when the process ends, for what the plugin opened by itself, such as connections to a service."""

    @abstractmethod
    def resource(self, role: str) -> Any:
        """The settings of another resource, as the deployment's file has them."""

    @abstractmethod
    def file(self, path: str) -> Path:
        """A file that a setting names; a relative path is beside the deployment's file."""
