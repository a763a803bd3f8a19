"""A deployment of a test as real processes: each service, its workers and each gateway, kept by the supervisor of ``up``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from marketplace_core._supervisor.keeper import Supervisor
from marketplace_core._supervisor.plan import plan
from marketplace_core._supervisor.state import ProcessState, targets_of
from marketplace_core.deployment._model import Deployment
from marketplace_core.testing._forks import forks

__all__ = ["Apart"]


class Apart:
    """Workers are started and stopped by themselves; everything else runs from :meth:`start` to :meth:`stop`."""

    def __init__(self, deployment: Deployment, folder: Path, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """``folder`` is for the logs. ``loop`` is the one that keeps them, of another thread: that of whoever asks, if none."""
        self._plan = plan(deployment, folder, {})
        self._logs, self._loop = folder / "logs", loop
        self._apis = Supervisor(self._logs, spawn=forks().spawn)
        self._workers: Supervisor | None = None

    async def start(self, *, worker: bool) -> None:
        """:raises marketplace_core._supervisor.keeper.CannotStart: one ends again and again."""
        await self._kept(self._start(worker=worker))

    async def _start(self, *, worker: bool) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._apis.start(self._plan.apis))
            if worker:
                group.create_task(self._start_workers())

    async def start_workers(self) -> None:
        await self._kept(self._start_workers())

    async def _start_workers(self) -> None:
        self._workers = Supervisor(self._logs, spawn=forks().spawn)
        await self._workers.start(self._plan.workers)

    async def stop_workers(self) -> None:
        if self._workers is not None:
            workers, self._workers = self._workers, None
            await self._kept(workers.stop())

    async def stop(self) -> None:
        await self.stop_workers()
        await self._kept(self._apis.stop())

    async def _kept(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in the loop that keeps the processes."""
        if self._loop is None or self._loop is asyncio.get_running_loop():
            await work
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @property
    def pids(self) -> dict[str, int]:
        """Of those that run, by name."""
        return {process.name: process.pid for process in self._running if process.pid is not None}

    @property
    def targets(self) -> list[dict[str, Any]]:
        """Of those that run, as Prometheus discovers them from a file."""
        return targets_of(self._running)

    @property
    def _running(self) -> list[ProcessState]:
        return [*self._apis.processes, *(self._workers.processes if self._workers is not None else ())]
