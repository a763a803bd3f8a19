"""What operators ask of a whole deployment, wherever its services run: what is under way, which events are parked,
and which jobs have failed.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from marketplace_core._rpc.client import far_port
from marketplace_core._runtime.assembly import Process
from marketplace_core.errors import NotFound
from marketplace_core.hookspecs import Schedule
from marketplace_core.ports import FailedJob, mutation, query
from marketplace_core.ports.parking import Parked, Parking
from marketplace_core.ports.schedules import Schedules
from marketplace_core.ports.servers import Truth

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
        for parking, names in self._parkings():
            deferred += await parking.backlog(names)
        for truth in self._process.places().values():
            position += await truth.outbox.position()
            outbox += await truth.outbox.backlog()
        for kept, declared in self._schedules():
            schedules += await kept.due(declared)
        return UnderWay(outbox, deferred, schedules, position)

    async def list_parked(self) -> list[Parked]:
        return [parked for parking, names in self._parkings() for parked in await parking.list(names)]

    async def count_parked(self) -> dict[tuple[str, str], int]:
        """What waits, by plugin and whether it is keys that are ``parked`` or ``deferred``, or messages that are
        ``unreadable``; also what there is none of.
        """
        counts: dict[tuple[str, str], int] = {}
        for parking, names in self._parkings():
            for state in ("parked", "deferred", "unreadable"):
                counts |= {(name.split(".", 1)[0], state): 0 for name in names}
            for (name, state), count in (await parking.count(names)).items():
                counts[name.split(".", 1)[0], state] += count
        return counts

    async def request_parked(self, id_: str, drop: bool) -> bool:
        for parking, _ in self._parkings():
            if await parking.request(id_, drop=drop):
                return True
        return False

    def _schedules(self) -> Iterator[tuple[Schedules, list[Schedule]]]:
        """Per place that keeps schedules, those of its plugins."""
        for truth, plugins in self._by_place():
            declared = [schedule for plugin in plugins for schedule in self._process.schedules(plugin)]
            if truth.schedules is not None and declared:
                yield truth.schedules, declared

    def _parkings(self) -> Iterator[tuple[Parking, list[str]]]:
        """Per place, the handlers and sinks whose inbox is in it, and the groups in which they read the bus."""
        process, names = self._process, defaultdict[str, list[str]](list)
        for place, plugins in [(truth.place, plugins) for truth, plugins in self._by_place()]:
            for plugin in plugins:
                roles = process.routing.roles(plugin)
                for name in process.routing.names_of(plugin):
                    names[process.truth(plugin, roles[name]).place if name in roles else place].append(name)
        for place, truth in process.places().items():
            if names[place] and truth.parking is not None:
                yield truth.parking, names[place]

    def _by_place(self) -> Iterator[tuple[Truth, list[str]]]:
        """A truth of each place, with the plugins that core remembers there: what they declare is about that one."""
        own: dict[str, list[str]] = {}
        for plugin, role in self._process.assembly.truths:
            if plugin in self._process.own and role == self._process.deployment.plugins[plugin].home:
                own.setdefault(self._process.home(plugin).place, []).append(plugin)
        for place, truth in self._process.places().items():
            yield truth, own.get(place, [])


class AllOperations:
    """Of every service of the deployment. Their jobs are on one server, which each process reaches by itself."""

    def __init__(self, process: Process) -> None:
        self._process = process
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

    async def list_failed_jobs(self) -> list[FailedJob]:
        """Those that are not tried any more, the oldest first."""
        return await self._process.queue.failed()

    async def release_job(self, id_: str, *, drop: bool) -> None:
        """Queue a failed job again, or forget it. :raises NotFound: there is none by this id."""
        if not await self._process.queue.release(id_, drop=drop):
            raise NotFound("There is no such failed job.")
