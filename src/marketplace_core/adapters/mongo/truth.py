"""Truth in MongoDB: collections whose names begin with the plugin's, beside core's own of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property

from marketplace_core.adapters.mongo.leases import lease
from marketplace_core.adapters.mongo.migrate import migrate_database, missing_steps
from marketplace_core.adapters.mongo.opening import MongoServer
from marketplace_core.adapters.mongo.outbox import MongoOutbox
from marketplace_core.adapters.mongo.parking import MongoParking
from marketplace_core.adapters.mongo.schedules import MongoSchedules
from marketplace_core.adapters.mongo.units import MongoUnits
from marketplace_core.hookspecs import Migration
from marketplace_core.ports.servers import Owner, Server, Step, Truth

__all__ = ["MongoTruth"]


class MongoTruth(Truth):
    def __init__(self, server: Server, owner: Owner) -> None:
        if not isinstance(server, MongoServer):
            raise TypeError(f"{type(server).__name__} is no MongoDB")
        self._database, self._assumed, self._owner = server.connection, server.assumed, owner
        self.place = self._database.name

    @cached_property
    def units(self) -> MongoUnits:
        return MongoUnits(self._database, self._owner.clock, self._owner.plugin, self._owner.topics)

    @cached_property
    def outbox(self) -> MongoOutbox:
        return MongoOutbox(self._database)

    @cached_property
    def parking(self) -> MongoParking:
        return MongoParking(self._database)

    @cached_property
    def schedules(self) -> MongoSchedules:
        return MongoSchedules(self._database, self._owner.clock, self._owner.zone)

    def lease(self, name: str) -> AbstractAsyncContextManager[asyncio.Task[None]]:
        return lease(self._database, name)

    async def missing(self, wanted: Mapping[str, Sequence[Migration]]) -> list[Step]:
        return await missing_steps(self._database, wanted, assumed=self._assumed)

    async def migrate(self, wanted: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None]) -> list[Step]:
        return await migrate_database(self._database, wanted, progress, assumed=self._assumed)
