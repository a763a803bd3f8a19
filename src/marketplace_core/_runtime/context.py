"""One plugin's context in one process."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from marketplace_core import calls
from marketplace_core.adapters.redis.reads import RedisCache
from marketplace_core.capabilities import capability_of
from marketplace_core.context import PluginContext
from marketplace_core.events import Event
from marketplace_core.extensions import Extensions
from marketplace_core.metrics import PluginMetrics
from marketplace_core.origins import Origins
from marketplace_core.ports import Blobs, Cache, FeedStore, Message, Pool, ProjectionUnits, Units, WebhookOutbox
from marketplace_core.ports.engine import Journal, SagaEngine
from marketplace_core.ports.gathering import envelope_of
from marketplace_core.ports.servers import imported
from marketplace_core.sagas import Performer, Saga

if TYPE_CHECKING:
    from marketplace_core._runtime.assembly import Process
    from marketplace_core.adapters.postgres.server import Database
    from marketplace_core.deployment import Deployment
    from marketplace_core.http.egress import Egress
    from marketplace_core.pictures import Pictures

__all__ = ["Context"]

P = TypeVar("P")
S = TypeVar("S")
C = TypeVar("C", bound=Struct)


def _origins(deployment: Deployment) -> Origins:
    """Those that ``[edge.*]`` lists."""
    return Origins(
        [origin for client in deployment.edge.values() for origin in client.origins],
        loopback=deployment.profile != "production",
    )


class Context(PluginContext):
    """Opens nothing by itself: a router that only asks for ports causes no store to be opened."""

    def __init__(self, process: Process, name: str) -> None:
        self.name = name
        self.clock = process.clock
        self.currency = process.deployment.currency
        self.tax_included = process.deployment.tax_included
        self.origins = _origins(process.deployment)
        self._process = process
        self._entry = process.deployment.plugins[name]
        self._info = process.assembly.infos[name]

    def config(self, kind: type[C]) -> C:
        settings = self._process.assembly.settings[self.name]
        if not isinstance(settings, kind):
            raise TypeError(f"the plugin {self.name!r} declares its settings as {type(settings).__name__}")
        return settings

    def port(self, capability: type[P]) -> P:
        return self._process.port(capability)

    def optional_port(self, capability: type[P]) -> P | None:
        name = capability_of(capability)
        return self._process.port(capability) if name in self._process.assembly.providers else None

    @property
    def sagas(self) -> Sequence[Saga]:
        return self._process.assembly.sagas

    @property
    def ports(self) -> Mapping[str, Any]:
        return self._process.ports

    def saga_engine(self, performer: Performer, journal: Journal) -> SagaEngine:
        resources = self._process.resources
        more = {"served": frozenset(self._process.assembly.providers)} if resources.serves_steps else {}
        engine: SagaEngine = resources.play("sagas", self.sagas, performer, self.clock, journal, **more)
        return engine

    def store(self, makers: Mapping[str, Callable[[PluginContext], S] | str], role: str | None = None) -> S:
        kind = self._process.deployment.resources[self._resource(role)].kind
        maker = makers[kind]
        make: Callable[[PluginContext], S] = imported(maker) if isinstance(maker, str) else maker
        return make(self)

    def _resource(self, role: str | None) -> str:
        return self._process.deployment.resource_for(self.name, role or self.name)

    def connection(self, role: str | None = None) -> Any:
        return self._process.resources.connection(self._resource(role))

    @property
    def database(self) -> Database:
        return self._process.resources.database(self._resource(None))

    def redis(self, role: str | None = None) -> Redis:
        return self._process.resources.redis(self._resource(None if role == "redis" else role))

    @property
    def units(self) -> Units:
        return self.units_of(None)

    def units_of(self, role: str | None) -> Units:
        return self._process.truth(self.name, role).units

    @property
    def projections(self) -> ProjectionUnits:
        parking = self._process.home(self.name).parking
        if parking is None:
            raise TypeError(f"{self.name!r} has projections, and its server keeps no inbox")
        return ProjectionUnits(parking, self.clock, self.name)

    async def tell(self, events: Sequence[Event]) -> None:
        if stranger := next((event.type for event in events if event.topic not in self._info.topics), None):
            raise ValueError(f"the plugin {self.name!r} tells {stranger!r} and does not declare its topic")
        heard = self._process.routing.published(self._process.bus)
        now, trace = self.clock.now(), calls.current().trace
        envelopes = [envelope_of(event, now, trace, actor="") for event in events if event.topic in heard]
        await self._process.bus.publish(
            [Message(each.topic, each.type, each.key, 0, msgspec.json.encode(each).decode()) for each in envelopes]
        )

    @property
    def cache(self) -> Cache:
        return RedisCache(self._process.infrastructure_redis("cache"), self.name)

    @property
    def feeds(self) -> FeedStore:
        return self._process.feeds

    @property
    def blobs(self) -> Blobs:
        return self._process.blobs

    @cached_property
    def pictures(self) -> Pictures:
        from marketplace_core.pictures import Pictures  # noqa: PLC0415 - most plugins have none

        pool = self.pool("pictures", processes=True)
        return Pictures(self.name, self.blobs, pool, lambda: self.egress, self._process.deployment.pictures)

    @property
    def extensions(self) -> Extensions:
        return self._process.extensions

    @property
    def webhooks(self) -> WebhookOutbox:
        kept = self._process.truth(self.name).webhooks
        if kept is None:
            raise TypeError(f"{self.name!r} sends webhooks, and its server keeps none")
        return kept

    @cached_property
    def egress(self) -> Egress:
        from marketplace_core.http.egress import Egress  # noqa: PLC0415 - a gateway makes none

        made = Egress(self.name, private=self._process.deployment.profile != "production")
        self.closing(made.close)
        return made

    @property
    def metrics(self) -> PluginMetrics:
        return PluginMetrics(self.name)

    def key(self, purpose: str) -> bytes:
        return self.keys(purpose)[0]

    def keys(self, purpose: str) -> tuple[bytes, ...]:
        return self._process.keys.of_plugin(self.name, purpose)

    def pool(self, name: str, *, size: int = 0, waiting: int | None = None, processes: bool = False) -> Pool:
        return self._process.pool(f"{self.name}-{name}", size or len(os.sched_getaffinity(0)), waiting, processes=processes)

    def closing(self, act: Callable[[], Awaitable[None]]) -> None:
        self._process.on_close(act)

    def resource(self, role: str) -> Any:
        return self._process.deployment.resources[self._entry.on[role]]

    def file(self, path: str) -> Path:
        return self._process.deployment.file.parent / path
