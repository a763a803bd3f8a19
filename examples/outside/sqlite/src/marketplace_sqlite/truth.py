"""Truth in a SQLite file: tables that begin with the plugin's name, beside core's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property

from marketplace_core.errors import Unavailable
from marketplace_core.hookspecs import Migration
from marketplace_core.ports.servers import Owner, Server, Step, Truth
from marketplace_sqlite.migrate import migrate_file, missing_steps
from marketplace_sqlite.outbox import SqliteOutbox
from marketplace_sqlite.parking import SqliteParking
from marketplace_sqlite.server import Database
from marketplace_sqlite.shared import FileLock
from marketplace_sqlite.units import SqliteUnits

__all__ = ["SqliteTruth"]

LEASE_SECONDS = 0.5


class SqliteTruth(Truth):
    def __init__(self, server: Server, owner: Owner) -> None:
        database = server.connection
        if not isinstance(database, Database):
            raise TypeError(f"{type(server).__name__} is no SQLite")
        self._database, self._owner = database, owner
        self.place = database.name

    @cached_property
    def units(self) -> SqliteUnits:
        return SqliteUnits(self._database, self._owner.clock, self._owner.plugin, self._owner.topics)

    @cached_property
    def outbox(self) -> SqliteOutbox:
        return SqliteOutbox(self._database)

    @cached_property
    def parking(self) -> SqliteParking:
        return SqliteParking(self._database)

    def lease(self, name: str) -> AbstractAsyncContextManager[asyncio.Task[None]]:
        return lease(self._database, name)

    async def missing(self, wanted: Mapping[str, Sequence[Migration]]) -> list[Step]:
        return await missing_steps(self._database, wanted)

    async def migrate(self, wanted: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None]) -> list[Step]:
        return await migrate_file(self._database, wanted, progress)


@contextlib.asynccontextmanager
async def lease(database: Database, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Wait until this process is the only one that holds ``name``. The task given fails when the lease is lost."""
    lock = FileLock(database.path, f"lease-{name}")
    database.path.parent.mkdir(parents=True, exist_ok=True)
    while not lock.take():  # noqa: ASYNC110 - of a lock that is given back the kernel tells only who blocks
        await asyncio.sleep(LEASE_SECONDS)

    async def watch() -> None:
        while not lock.lost:  # noqa: ASYNC110 - nobody tells of a file that was taken away
            await asyncio.sleep(LEASE_SECONDS)
        raise Unavailable(f"The lock of {name} was taken away.")

    task = asyncio.create_task(watch())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        lock.release()
