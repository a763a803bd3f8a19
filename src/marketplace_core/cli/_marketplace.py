"""Where a command acts on a marketplace: on the servers that run there, else on servers of its own for as long."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.serve import migrate, opened
from marketplace_core._supervisor.servers import prepare, servers_of
from marketplace_core._supervisor.state import as_running, running
from marketplace_core.adapters._waits import JOB_SECONDS, patient
from marketplace_core.deployment import DEFAULT_FILE, load

__all__ = ["marketplace"]


@contextlib.asynccontextmanager
async def marketplace(file: Path | None, data: Path) -> AsyncIterator[Process]:
    """A process of the deployment. Where its embedded servers do not run, they are started, and stopped again."""
    deployment = as_running(load(file or DEFAULT_FILE), data)
    async with contextlib.AsyncExitStack() as stack:
        if running(data) is None:
            await prepare(deployment, data, "before")
            for server in servers_of(deployment, data):
                await server.start()
                stack.push_async_callback(server.stop)
            await prepare(deployment, data, "after")
            await migrate(deployment, data)
        stack.enter_context(patient(JOB_SECONDS))  # somebody sits before it, and an import takes its time
        yield await stack.enter_async_context(opened(deployment, data))
