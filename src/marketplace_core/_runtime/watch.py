"""Gauges that need a query: measured by a worker at intervals, and not by every process whenever it is asked.

A worker tells of the databases, groups and queues of its own service. Replicas tell the same, so take the largest, not the sum.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

from marketplace_core import metrics
from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.operators import OwnOperations

__all__ = ["Watch"]

SECONDS = 5.0


class Watch:
    """``groups`` are the bus's, with the plugin of each, that the worker consumes."""

    def __init__(self, process: Process, plugins: Sequence[str], groups: Mapping[str, str]) -> None:
        self._process, self._plugins, self._groups = process, plugins, groups
        self._operations = OwnOperations(process)

    async def run(self) -> None:
        while True:
            for measure in (self._outboxes, self._bus, self._parked, self._jobs):
                with contextlib.suppress(Exception):  # somebody is away; the others are measured all the same
                    await measure()
            for plugin in self._plugins:
                metrics.WATCHED.labels(plugin).set(time.time())
            await asyncio.sleep(SECONDS)

    async def _outboxes(self) -> None:
        for name, truth in self._process.places().items():
            metrics.OUTBOX_BACKLOG.labels(name).set(await truth.outbox.backlog())
            metrics.OUTBOX_OLDEST.labels(name).set(await truth.outbox.oldest())

    async def _bus(self) -> None:
        lags = await self._process.bus.lags({group: self._process.routing.groups[group] for group in self._groups})
        for group, lag in lags.items():
            metrics.BUS_LAG.labels(self._groups[group], group).set(lag)

    async def _parked(self) -> None:
        for (plugin, state), count in (await self._operations.count_parked()).items():
            metrics.PARKED_KEYS.labels(plugin, state).set(count)

    async def _jobs(self) -> None:
        with_jobs = [plugin for plugin in self._plugins if self._process.jobs(plugin)]
        for plugin, (waiting, failed) in (await self._process.queue.backlogs(with_jobs, self._process.clock.now())).items():
            metrics.JOBS_BACKLOG.labels(plugin).set(waiting)
            metrics.JOBS_FAILED.labels(plugin).set(failed)
