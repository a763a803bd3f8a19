"""The saga engine alone: workflows of empty steps, as many at once as there are clients.

As a program: the database, steps of a workflow, workflows, clients; prints workflows per second.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

import uvloop
from dbos import DBOS, SetWorkflowID

from marketplace_core.adapters.dbos.connections import engine_url


async def main(dsn: str, steps: int, workflows: int, clients: int) -> float:
    DBOS(
        config={
            "name": "alone",
            "system_database_url": engine_url(dsn),
            "dbos_system_schema": "alone",
            "application_version": "1",
            "executor_id": "alone",
            "sys_db_pool_size": 8,
            "log_level": "WARNING",
            "console_log_level": "WARNING",
        }
    )

    async def step() -> str:
        return ""

    async def run(_: str) -> str:
        for number in range(steps):
            await DBOS.run_step_async({"name": f"step{number}"}, step)
        return ""

    workflow = DBOS.workflow(name="alone.empty")(run)
    DBOS.launch()

    async def one() -> None:
        with SetWorkflowID(str(uuid.uuid4())):
            handle = await DBOS.start_workflow_async(workflow, "")
        await handle.get_result(polling_interval_sec=0.005)

    numbers = iter(range(workflows))

    async def client() -> None:
        for _ in numbers:
            await one()

    await one()
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    taken = time.perf_counter() - began
    await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
    return workflows / taken


if __name__ == "__main__":
    dsn, *numbers = sys.argv[1:]
    print(uvloop.run(main(dsn, *map(int, numbers))), flush=True)
