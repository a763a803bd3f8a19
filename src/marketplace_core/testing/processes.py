"""A deployment of a test as real processes: each service, its workers and each gateway, kept by the supervisor of ``up``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from marketplace_core._runtime.assembly import Assembly
from marketplace_core._supervisor.keeper import ProcessSpec, Supervisor
from marketplace_core._supervisor.plan import Plan, plan
from marketplace_core._supervisor.secrets import root_keys
from marketplace_core._supervisor.state import ProcessState, targets_of
from marketplace_core.deployment._model import Deployment
from marketplace_core.deployment._secrets import KEYS
from marketplace_core.testing._forks import forks

__all__ = ["Apart"]


#: Where the command of a process names it.
_NAME = 5


def _granted(plan: Plan, deployment: Deployment, folder: Path) -> Plan:
    root, assembly = root_keys(deployment, folder), Assembly.of(deployment)

    def given(spec: ProcessSpec) -> ProcessSpec:
        path = folder / f"{spec.argv[_NAME]}.keys"
        path.write_text(assembly.grant(root, spec.argv[_NAME]))
        return replace(spec, env={**(spec.env or {}), KEYS: str(path)})

    found = Plan(plan.simulators, [given(spec) for spec in plan.workers], [given(spec) for spec in plan.apis])
    (folder / "secret").unlink()
    return found


class Apart:
    """Workers are started and stopped by themselves; everything else runs from :meth:`start` to :meth:`stop`."""

    def __init__(self, deployment: Deployment, folder: Path, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """``folder`` is for the logs, and the keys of each process: none of them has the root secret, which is taken away.
        ``loop`` is the one that keeps them, of another thread: that of whoever asks, if none."""
        self._plan = _granted(plan(deployment, folder, {}), deployment, folder)
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
