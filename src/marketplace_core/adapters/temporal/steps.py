"""Steps of sagas where their service is: a worker of Temporal's for each capability, on a queue of its own.

A queue that nobody polls, because its service is away, keeps its steps until somebody does.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection
from datetime import UTC
from typing import Any

import structlog
from temporalio import activity
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.service import RPCError
from temporalio.worker import Worker

from marketplace_core.adapters.temporal.activities import Steps
from marketplace_core.adapters.temporal.opening import TemporalServer
from marketplace_core.adapters.temporal.workflow import queue_of
from marketplace_core.errors import Unavailable
from marketplace_core.ports.engine import StepServer, StepTries
from marketplace_core.sagas import Performer

__all__ = ["TemporalSteps", "tries_of", "until_there"]

log = structlog.get_logger("marketplace.temporal")

AWAY_PAUSE = 0.5
#: How often at once a queue is asked for more.
_POLLS = 2


class TemporalSteps(StepServer):
    def __init__(self, server: TemporalServer, capabilities: Collection[str], performer: Performer) -> None:
        self._server = server
        self._capabilities = sorted(capabilities)
        steps = Steps(performer)
        self._activities: list[Callable[..., Any]] = [steps.perform, steps.probe]

    async def run(self) -> None:
        await until_there(self._server)
        client = await self._server.client()
        workers = [
            Worker(
                client,
                task_queue=queue_of(capability),
                activities=self._activities,
                identity=f"{os.getpid()}@{socket.gethostname()}/{capability}",
                max_concurrent_activity_task_polls=_POLLS,
            )
            for capability in self._capabilities
        ]
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run())


async def until_there(server: TemporalServer) -> None:
    """It may come later than who needs it."""
    while True:
        try:
            await server.ready()
            break
        except (Unavailable, RPCError) as error:
            log.warning("sagas.server_away", cause=type(error).__name__)
            await asyncio.sleep(AWAY_PAUSE)
    activity.logger.logger.disabled = True  # a try of unknown outcome is logged by whoever performs it


def tries_of(pending: PendingActivityInfo) -> StepTries | None:
    """None: the first one has not ended."""
    if not pending.HasField("last_failure"):
        return None
    failure = pending.last_failure
    kind = failure.application_failure_info.type
    ended = pending.last_attempt_complete_time if pending.HasField("last_attempt_complete_time") else pending.last_started_time
    at = ended.ToDatetime(UTC)
    return StepTries(max(pending.attempt - 1, 1), f"{kind}: {failure.message}" if kind else failure.message, at)
