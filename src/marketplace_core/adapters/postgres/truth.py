"""Truth in PostgreSQL: a schema for each plugin and role, beside core's own of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property

from marketplace_core.adapters.postgres.lease import lease
from marketplace_core.adapters.postgres.migrate import migrate_database, missing_steps
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.schedules import PostgresSchedules
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.postgres.webhooks_out import PostgresWebhookOutbox
from marketplace_core.hookspecs import Migration
from marketplace_core.ports.servers import Owner, Server, Step, Truth

__all__ = ["PostgresTruth"]


class PostgresTruth(Truth):
    def __init__(self, server: Server, owner: Owner) -> None:
        database = server.connection
        if not isinstance(database, Database):
            raise TypeError(f"{type(server).__name__} is no PostgreSQL")
        self._database, self._owner = database, owner
        self.place = database.name

    @cached_property
    def units(self) -> PostgresUnits:
        return PostgresUnits(self._database, self._owner.clock, self._owner.plugin, self._owner.topics)

    @cached_property
    def outbox(self) -> PostgresOutbox:
        return PostgresOutbox(self._database)

    @cached_property
    def parking(self) -> PostgresParking:
        return PostgresParking(self._database)

    @cached_property
    def schedules(self) -> PostgresSchedules:
        return PostgresSchedules(self._database, self._owner.clock, self._owner.zone)

    @cached_property
    def webhooks(self) -> PostgresWebhookOutbox:
        return PostgresWebhookOutbox(self._database, self._owner.clock, self._owner.plugin)

    def lease(self, name: str) -> AbstractAsyncContextManager[asyncio.Task[None]]:
        return lease(self._database, name)

    async def missing(self, wanted: Mapping[str, Sequence[Migration]]) -> list[Step]:
        return await missing_steps(self._database, wanted)

    async def migrate(self, wanted: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None]) -> list[Step]:
        return await migrate_database(self._database, wanted, progress)
