"""What operators ask of a whole deployment, wherever its services run: what is under way, and which events are parked."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from msgspec import Struct

from marketplace_core._rpc.client import far_port
from marketplace_core._runtime.assembly import Process
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.schedules import PostgresSchedules
from marketplace_core.errors import NotFound
from marketplace_core.outbox import Parked
from marketplace_core.ports import mutation, query

__all__ = ["CORE", "AllOperations", "Operations", "OwnOperations", "UnderWay"]

#: The name of this port among the capabilities.
CORE = "core"


class UnderWay(Struct, frozen=True):
    """Of one service: outbox rows to relay, keys that wait for somebody who is away, schedules that are due, and how far its
    outboxes have been written.
    """

    outbox: int
    deferred: int
    schedules: int
    position: int


class Operations(ABC):
    """What each service answers about the databases of its plugins."""

    @abstractmethod
    @query
    async def under_way(self) -> UnderWay: ...

    @abstractmethod
    @query
    async def list_parked(self) -> list[Parked]:
        """The first of each parked key."""

    @abstractmethod
    @mutation(retriable=False)
    async def request_parked(self, id_: str, drop: bool) -> bool:
        """Replay a parked event, or drop it, and then all behind it. False: there is no such event here."""


class OwnOperations(Operations):
    """Of the plugins that live in this process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def under_way(self) -> UnderWay:
        outbox = schedules = position = deferred = 0
        for parking, handlers in self._parkings():
            deferred += await parking.backlog(handlers)
        for written in self._process.outboxes().values():
            position += await written.position()
            outbox += await written.backlog()
        for name, plugins in self._process.databases().items():
            database = self._process.resources.database(name)
            declared = [schedule for plugin in plugins for schedule in self._process.schedules(plugin)]
            schedules += await PostgresSchedules(database, self._process.clock, self._process.time_zone).due(declared)
        return UnderWay(outbox, deferred, schedules, position)

    async def list_parked(self) -> list[Parked]:
        return [parked for parking, handlers in self._parkings() for parked in await parking.list(handlers)]

    async def count_parked(self) -> dict[tuple[str, str], int]:
        """Keys that wait, by plugin and whether they are ``parked`` or ``deferred``; also those of which there are none."""
        counts: dict[tuple[str, str], int] = {}
        for parking, handlers in self._parkings():
            for state in ("parked", "deferred"):
                counts |= {(handler.split(".", 1)[0], state): 0 for handler in handlers}
            for (handler, state), count in (await parking.count(handlers)).items():
                counts[handler.split(".", 1)[0], state] += count
        return counts

    async def request_parked(self, id_: str, drop: bool) -> bool:
        for parking, _ in self._parkings():
            if await parking.request(id_, drop=drop):
                return True
        return False

    def _parkings(self) -> Iterator[tuple[PostgresParking, list[str]]]:
        """Per database, the handlers whose inbox is in it."""
        subscriptions = self._process.all_subscriptions
        for name, plugins in self._process.databases().items():
            handlers = [f"{plugin}.{method.__name__}" for plugin in plugins for method in subscriptions.get(plugin, ())]
            if handlers:
                yield PostgresParking(self._process.resources.database(name)), handlers


class AllOperations:
    """Of every service of the deployment."""

    def __init__(self, process: Process) -> None:
        own = [OwnOperations(process)] if process.own else []
        others = [name for name in process.deployment.services if not process.own.intersection(process.plugins_of(name))]
        self._parts: Sequence[Operations] = [*own, *(far_port(CORE, Operations, process.target(name)) for name in others)]

    async def under_way(self) -> UnderWay:
        """All in all. :raises Unavailable: a service is away, so nobody can tell."""
        parts = await asyncio.gather(*(part.under_way() for part in self._parts))
        return UnderWay(*(sum(getattr(part, name) for part in parts) for name in UnderWay.__struct_fields__))

    async def list_parked(self) -> list[Parked]:
        """The first of each parked key, the oldest first."""
        parts = await asyncio.gather(*(part.list_parked() for part in self._parts))
        return sorted((parked for part in parts for parked in part), key=lambda parked: (parked.at, parked.id))

    async def request_parked(self, id_: str, *, drop: bool) -> None:
        """:raises NotFound: there is no such parked event."""
        for part in self._parts:
            if await part.request_parked(id_, drop):
                return
        raise NotFound("There is no such parked event.")
