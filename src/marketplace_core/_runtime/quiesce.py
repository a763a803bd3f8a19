"""Whether a deployment has come to rest: nothing is under way that would go on by itself."""

from __future__ import annotations

from msgspec import Struct

from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.operators import AllOperations
from marketplace_core._supervisor.simulators import count_webhooks
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
    """What is under way. Work moves while one counts, so nothing is only believed twice, with no event in between.

    :raises Unavailable: a service is away.
    """
    operations = AllOperations(process)
    before, counts = await _count(process, operations)
    if counts.total == 0:
        after, counts = await _count(process, operations)
        if counts.total == 0 and after != before:
            return Pending(1, 0, 0, 0, 0, 0)
    return counts


async def _count(process: Process, operations: AllOperations) -> tuple[int, Pending]:
    """How far the outboxes had been written, and then what was under way."""
    under_way = await operations.under_way()
    sagas = await process.port(Orchestrator).runnable() if "orchestrator" in process.assembly.providers else 0
    return under_way.position, Pending(
        outbox=under_way.outbox,
        bus=under_way.deferred + await process.bus.lag(process.routing.groups),
        jobs=await process.queue.backlog(process.clock.now()),
        schedules=under_way.schedules,
        sagas=sagas,
        webhooks=await count_webhooks(process.simulators.values()),
    )
