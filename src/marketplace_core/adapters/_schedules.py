"""Schedules by the deployment's clock, on any store: one run at a time, whatever the number of workers.

What is kept of each, and how, is the adapter's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar

import structlog
from msgspec import Struct

from marketplace_core import calls, metrics, tracing
from marketplace_core.adapters._waits import JOB_SECONDS, unhurried
from marketplace_core.errors import Unavailable
from marketplace_core.hookspecs import Schedule
from marketplace_core.ports.schedules import Schedules
from marketplace_core.values import Clock, new_id

__all__ = ["BACKOFF", "LEASE_SECONDS", "LONGEST", "Known", "StoredSchedules"]

log = structlog.get_logger("marketplace.schedules")

#: While something runs, or another process does what is due, it is looked so often.
TICK_SECONDS = 0.3
#: Before a schedule that failed n times in a row is tried again, in real seconds: BACKOFF * 2**n, at most LONGEST.
BACKOFF = 0.25
LONGEST = 60.0
LEASE_SECONDS = 10.0
#: However long nothing is due by what is known, it is read again after so long; what waits for its next try, after so long.
LOOK_SECONDS = 30.0
WAITING_SECONDS = 0.5

T = TypeVar("T")
Run = Callable[[Schedule], Awaitable[Any]]


class Known(Struct, frozen=True):
    """What is kept of a schedule: when it last began, and whether it waits for its next try."""

    last_at: datetime | None
    waits: bool


class StoredSchedules(Schedules):
    """Runs what is due: by the deployment's clock what never ran, or last began ``every`` ago or longer; what has a time of
    day, whenever that has come since it last began.

    However long nothing ran, one run catches up. A run is repeated when its process dies: its effect is idempotent.
    """

    def __init__(self, clock: Clock, zone: tzinfo = UTC, *, lease: float = LEASE_SECONDS) -> None:
        """``zone``: whose clocks show the times of day. ``lease``: seconds after which what a killed process was running may be
        run by another."""
        self._clock = clock
        self._zone = zone
        self._lease = lease
        self._seen: set[str] = set()
        #: When each last began, whether it waits for its next try, and when that was read.
        self._known: dict[str, tuple[datetime | None, bool, float]] = {}

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
                for schedule in await self._ready(idle) if self._until_due(idle) <= 0 else ():
                    running[schedule.name] = tasks.create_task(self._attempt(schedule, call), name=schedule.name)
                await self._clock.rest(TICK_SECONDS if running else max(TICK_SECONDS, self._until_due(idle)))

    def _until_due(self, schedules: Iterable[Schedule]) -> float:
        """Seconds until one may be due, by what was read last: one that is at rest asks nothing, and what others ran since then
        is found when it is due."""
        now, monotonic = self._clock.now(), time.monotonic()
        least = LOOK_SECONDS
        for schedule in schedules:
            last, waits, read = self._known.get(schedule.name, (None, False, float("-inf")))
            due = (schedule.next_due(last, now, self._zone) - now).total_seconds()
            if waits:
                due = max(due, read + WAITING_SECONDS - monotonic)
            least = min(least, due, read + LOOK_SECONDS - monotonic)
        return least

    async def run_due(self, schedules: Iterable[Schedule], run: Run) -> int:
        """Run what is due once; gives how many ended well."""
        ready = await self._ready(schedules)
        return sum(await asyncio.gather(*(self._attempt(schedule, run) for schedule in ready)))

    async def due(self, schedules: Iterable[Schedule]) -> int:
        """How many are due or running, or failed and will be tried again. :raises Unavailable:"""
        return len(await self._due(list(schedules)))

    async def _ready(self, schedules: Iterable[Schedule]) -> list[Schedule]:
        """What is due and does not wait for its next try."""
        schedules = list(schedules)
        try:
            await self._see([each.name for each in schedules if each.at is not None and each.name not in self._seen])
            return [schedule for schedule, waits in await self._due(schedules) if not waits]
        except Unavailable as error:
            log.warning("schedules.waiting", cause=type(error).__name__)
            return []

    async def _see(self, names: Sequence[str]) -> None:
        """From now on their times count: one that has just been written is not due for a time before."""
        if names:
            await self._begin(names, self._clock.now())
            self._seen.update(names)

    async def _due(self, schedules: Sequence[Schedule]) -> list[tuple[Schedule, bool]]:
        """What is due, and whether it waits for its next try."""
        found = await self._kept([schedule.name for schedule in schedules])
        now, read = self._clock.now(), time.monotonic()
        for schedule in schedules:
            row = found.get(schedule.name)
            self._known[schedule.name] = (None, False, read) if row is None else (row.last_at, row.waits, read)
        due = []
        for schedule in schedules:
            row = found.get(schedule.name)
            if schedule.is_due(None if row is None else row.last_at, now, self._zone):
                due.append((schedule, row is not None and row.waits))
        return due

    async def _attempt(self, schedule: Schedule, run: Run) -> bool:
        """Run it, unless another process does, or has just done so. Whether it ran and ended well."""
        owner = new_id()
        try:
            try:
                if not await _to_its_end(self._claim(schedule.name, owner)):
                    return False
                if [(schedule, False)] != await self._due([schedule]):
                    return False
                return await self._run(schedule, owner, run)
            finally:
                self._known.pop(schedule.name, None)
                await _to_its_end(self._release(schedule.name, owner))
        except Unavailable as error:
            log.warning("schedules.waiting", schedule=schedule.name, cause=type(error).__name__)
            return False

    async def _run(self, schedule: Schedule, owner: str, run: Run) -> bool:
        began = self._clock.now()
        keeping = asyncio.create_task(self._keep(schedule.name, owner))
        started = time.perf_counter()
        took = metrics.Outcomes(metrics.SCHEDULE, schedule.name.split(".", 1)[0], schedule.name, known=("done", "failed"))
        try:
            with (
                tracing.span(f"schedule {schedule.name}") as trace,
                calls.scope(calls.Call(origin="schedule", request_id=owner, trace=trace)),
                unhurried(JOB_SECONDS),
            ):
                await run(schedule)
        except Exception as error:
            took.observe("failed", time.perf_counter() - started)
            log.error("schedule.failed", schedule=schedule.name, exc_info=error)
            await self._failed(schedule.name, owner, error)
            return False
        finally:
            keeping.cancel()
        took.observe("done", time.perf_counter() - started)
        await self._done(schedule.name, owner, began)
        return True

    # A session's lock would take a connection out of the pool for as long as a run takes, and a run needs others: when
    # many are due at once, nobody would get on. So it is a row that is owned for a while, and the while is renewed.

    async def _keep(self, name: str, owner: str) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            with contextlib.suppress(Unavailable):
                await self._prolong(name, owner)

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def _begin(self, names: Sequence[str], at: datetime) -> None:
        """Those that never ran have begun then."""

    @abstractmethod
    async def _kept(self, names: Sequence[str]) -> Mapping[str, Known]: ...

    @abstractmethod
    async def _claim(self, name: str, owner: str) -> bool:
        """Whether it is the owner's now, for as long as the lease: nobody's, or of one whose lease has ended."""

    @abstractmethod
    async def _prolong(self, name: str, owner: str) -> None: ...

    @abstractmethod
    async def _release(self, name: str, owner: str) -> None: ...

    @abstractmethod
    async def _done(self, name: str, owner: str, began: datetime) -> None:
        """It began then, and ended well."""

    @abstractmethod
    async def _failed(self, name: str, owner: str, error: Exception) -> None:
        """After the n-th failure in a row it waits ``BACKOFF * 2**n`` seconds, at most ``LONGEST``."""


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """``work``, also when this is cancelled meanwhile: what was claimed is known, and given back."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
