"""A step to any queue of Temporal's, which says who answered."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from marketplace_core.values import new_id

__all__ = ["probing"]

QUEUE = "test.probes"


@workflow.defn(name="test.probe")
class Probe:
    @workflow.run
    async def run(self, capability: str) -> str:
        answered: str = await workflow.execute_activity(
            "marketplace.probe",
            result_type=str,
            task_queue=f"marketplace.{capability}",
            schedule_to_close_timeout=timedelta(seconds=30),
        )
        return answered


@contextlib.asynccontextmanager
async def probing(client: Client) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    async def probe(capability: str) -> str:
        return await client.execute_workflow(Probe.run, capability, id=new_id(), task_queue=QUEUE)

    async with Worker(client, task_queue=QUEUE, workflows=[Probe], workflow_runner=UnsandboxedWorkflowRunner()):
        yield probe
