"""Whether a deployment has come to rest: nothing is under way that would go on by itself."""

from __future__ import annotations

from msgspec import Struct

from marketplace_core._assembly import Process
from marketplace_core._simulators import count_webhooks
from marketplace_core.adapters.postgres_outbox import PostgresOutbox
from marketplace_core.adapters.schedules import PostgresSchedules
from marketplace_core.capabilities.orchestrator import Orchestrator

__all__ = ["Pending", "pending"]


class Pending(Struct, frozen=True):
    """Outbox rows to relay, bus messages to apply, jobs and schedules that are due, sagas that can go on.

    ``webhooks`` are those that simulators beside the deployment have still to send.
    """

    outbox: int
    bus: int
    jobs: int
    schedules: int
    sagas: int
    webhooks: int

    @property
    def total(self) -> int:
        return self.outbox + self.bus + self.jobs + self.schedules + self.sagas + self.webhooks


async def pending(process: Process) -> Pending:
    """What is under way. Work moves while one counts, so nothing is only believed twice, with no event in between."""
    before = await _position(process)
    counts = await _count(process)
    if counts.total == 0:
        counts = await _count(process)
        if counts.total == 0 and await _position(process) != before:
            return Pending(1, 0, 0, 0, 0, 0)
    return counts


async def _position(process: Process) -> list[int]:
    """How far each outbox has been written."""
    return [
        await process.resources.database(name).value("SELECT coalesce(max(id), 0) FROM marketplace.outbox")
        for name in process.assembly.databases()
    ]


async def _count(process: Process) -> Pending:
    outbox = schedules = 0
    for name, plugins in process.assembly.databases().items():
        database = process.resources.database(name)
        outbox += await PostgresOutbox(database).backlog()
        declared = [schedule for plugin in plugins for schedule in process.schedules(plugin)]
        schedules += await PostgresSchedules(database, process.clock).due(declared)
    sagas = await process.port(Orchestrator).runnable() if "orchestrator" in process.assembly.providers else 0
    return Pending(
        outbox=outbox,
        bus=await process.bus.lag(process.groups),
        jobs=await process.queue.backlog(process.clock.now()),
        schedules=schedules,
        sagas=sagas,
        webhooks=await count_webhooks(process.simulators.values()),
    )
