"""Schedules by the deployment's clock, kept in PostgreSQL: one run at a time, whatever the number of workers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import structlog

from marketplace_core import calls
from marketplace_core.adapters.postgres import Connection, Database
from marketplace_core.errors import Unavailable
from marketplace_core.hookspecs import Schedule
from marketplace_core.values import Clock, new_id

__all__ = ["PostgresSchedules"]

log = structlog.get_logger("marketplace.schedules")

TICK_SECONDS = 0.3
#: Before a schedule that failed n times in a row is tried again, in real seconds: BACKOFF * 2**n, at most LONGEST.
BACKOFF = 0.25
LONGEST = 60.0
_LOCK_CLASS = 0x73636864  # "schd"

Run = Callable[[Schedule], Awaitable[Any]]


class PostgresSchedules:
    """Runs what is due: what never ran, or last began ``every`` ago or longer by the deployment's clock.

    However long nothing ran, one run catches up. A run is repeated when its process dies: its effect is idempotent.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run(self, schedules: Sequence[Schedule], service: object) -> None:
        """The loop of a worker. One that takes long does not delay the others."""

        async def call(schedule: Schedule) -> None:
            await schedule.method(service)

        running: dict[str, asyncio.Task[bool]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                for name in [name for name, task in running.items() if task.done()]:
                    del running[name]
                idle = [schedule for schedule in schedules if schedule.name not in running]
                for schedule in await self._ready(idle):
                    running[schedule.name] = tasks.create_task(self._attempt(schedule, call), name=schedule.name)
                await asyncio.sleep(TICK_SECONDS)

    async def run_due(self, schedules: Iterable[Schedule], run: Run) -> int:
        """Run what is due once; gives how many ended well."""
        ready = await self._ready(schedules)
        return sum(await asyncio.gather(*(self._attempt(schedule, run) for schedule in ready)))

    async def due(self, schedules: Iterable[Schedule]) -> int:
        """How many are due or running, or failed and will be tried again. :raises Unavailable:"""
        return len(await self._due(list(schedules), self._database.fetch))

    async def _ready(self, schedules: Iterable[Schedule]) -> list[Schedule]:
        """What is due and does not wait for its next try."""
        try:
            return [schedule for schedule, waits in await self._due(list(schedules), self._database.fetch) if not waits]
        except Unavailable as error:
            log.warning("schedules.waiting", cause=type(error).__name__)
            return []

    async def _due(self, schedules: Sequence[Schedule], fetch: Callable[..., Awaitable[Any]]) -> list[tuple[Schedule, bool]]:
        rows = await fetch(
            "SELECT name, last_at, coalesce(retry_at > clock_timestamp(), false) AS waits"
            " FROM marketplace.schedules WHERE name = ANY($1::text[])",
            [schedule.name for schedule in schedules],
        )
        found = {row["name"]: row for row in rows}
        now = self._clock.now()
        due = []
        for schedule in schedules:
            row = found.get(schedule.name)
            if row is None or row["last_at"] is None or row["last_at"] + schedule.every <= now:
                due.append((schedule, row is not None and row["waits"]))
        return due

    async def _attempt(self, schedule: Schedule, run: Run) -> bool:
        """Run it, unless another process does, or has just done so. Whether it ran and ended well."""
        try:
            async with self._lock(schedule.name) as connection:
                if connection is None or [(schedule, False)] != await self._due([schedule], connection.fetch):
                    return False
                began = self._clock.now()
                try:
                    with calls.scope(calls.Call(origin="schedule", request_id=new_id(), trace=calls.new_trace())):
                        await run(schedule)
                except Exception as error:
                    await self._failed(connection, schedule.name, error)
                    return False
                await self._done(connection, schedule.name, began)
                return True
        except Unavailable as error:
            log.warning("schedules.waiting", schedule=schedule.name, cause=type(error).__name__)
            return False

    @contextlib.asynccontextmanager
    async def _lock(self, name: str) -> AsyncIterator[Connection | None]:
        """Held by a session: a transaction that is open for as long as a run takes would keep dead rows alive."""
        async with self._database.connection() as connection:
            if not await connection.value("SELECT pg_try_advisory_lock($1::int, hashtext($2))", _LOCK_CLASS, name):
                yield None
                return
            try:
                yield connection
            finally:
                unlock = connection.execute("SELECT pg_advisory_unlock($1::int, hashtext($2))", _LOCK_CLASS, name)
                await asyncio.shield(unlock)

    async def _done(self, connection: Connection, name: str, began: datetime) -> None:
        await connection.execute(
            "INSERT INTO marketplace.schedules (name, last_at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE"
            " SET last_at = excluded.last_at, failures = 0, error = '', retry_at = NULL",
            name,
            began,
        )

    async def _failed(self, connection: Connection, name: str, error: Exception) -> None:
        log.error("schedule.failed", schedule=name, exc_info=error)
        await connection.execute(
            "INSERT INTO marketplace.schedules AS s (name, failures, error, retry_at)"
            " VALUES ($1, 1, $2, clock_timestamp() + make_interval(secs => $3::float8))"
            " ON CONFLICT (name) DO UPDATE SET failures = s.failures + 1, error = excluded.error,"
            " retry_at = clock_timestamp() + make_interval(secs => least($4::float8, $3::float8 * 2 ^ least(s.failures, 20)))",
            name,
            f"{type(error).__name__}: {error}",
            BACKOFF,
            LONGEST,
        )
