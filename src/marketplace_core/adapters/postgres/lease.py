"""A lease: one process at a time, for as long as its session lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from marketplace_core.adapters.postgres.server import Connection, Database
from marketplace_core.errors import Unavailable

__all__ = ["lease"]

log = structlog.get_logger("marketplace.worker")

LEASE_RETRY_SECONDS = 0.5
LEASE_IDLE_SECONDS = 30
_LEASE_CLASS = 0x6C656173  # "leas"
#: Where the server does not hear that we are gone, it ends the session that the lease is of.
_TAKE = (
    "SELECT CASE WHEN pg_try_advisory_lock($1::int, hashtext($2)) THEN set_config('idle_session_timeout', $3, false) END"
    " IS NOT NULL AS taken"
)


@contextlib.asynccontextmanager
async def lease(database: Database, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Wait until this process is the only one that holds ``name``. The task given fails when the lease is lost."""
    async with contextlib.AsyncExitStack() as stack:
        connection = await _taken(database, name, stack)

        async def watch() -> None:
            while True:
                await asyncio.sleep(1.0)
                await connection.value("SELECT 1")

        task = asyncio.create_task(watch())
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(Exception):
                await connection.execute("SELECT pg_advisory_unlock($1::int, hashtext($2))", _LEASE_CLASS, name)
                await connection.execute("RESET idle_session_timeout")


async def _taken(database: Database, name: str, stack: contextlib.AsyncExitStack) -> Connection:
    """The session that holds the lease. Who waits for it waits through the database's absences, too."""
    while True:
        try:
            async with contextlib.AsyncExitStack() as trying:
                connection = await trying.enter_async_context(database.connection())
                if await connection.value(_TAKE, _LEASE_CLASS, name, f"{LEASE_IDLE_SECONDS}s"):
                    stack.push_async_exit(trying.pop_all())
                    return connection
        except Unavailable as error:
            log.warning("worker.waiting", task=name, cause=type(error).__name__)
        await asyncio.sleep(LEASE_RETRY_SECONDS)
