"""Where a command acts on a marketplace: on the servers that run there, else on servers of its own for as long."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.serve import migrate, opened
from marketplace_core._supervisor.servers import prepare, servers_of
from marketplace_core._supervisor.state import as_running, running
from marketplace_core.adapters._waits import JOB_SECONDS, unhurried
from marketplace_core.commands import Failed
from marketplace_core.deployment import DEFAULT_FILE, Deployment, load
from marketplace_core.errors import Conflict, Invalid, MarketplaceError, NotFound

__all__ = ["marketplace", "run_on", "run_unopened"]

T = TypeVar("T")


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
        stack.enter_context(unhurried(JOB_SECONDS))  # somebody sits before it, and an import takes its time
        yield await stack.enter_async_context(opened(deployment, data, _opened_here(deployment, data)))


def _opened_here(deployment: Deployment, data: Path) -> frozenset[str] | None:
    """The plugins whose services are made here. What one process must own is opened by that one, if it runs."""
    if running(data) is None and servers_of(deployment, data):
        return None  # nobody has opened anything
    alone = {name for service in deployment.services.values() if service.alone and service.internal for name in service.plugins}
    return frozenset(deployment.plugins) - alone


def run_unopened(file: Path | None, data: Path, act: Callable[[Process], Awaitable[T]]) -> T:
    """Run ``act`` on the deployment with no server of its own. :raises Failed:"""

    async def run() -> T:
        deployment = msgspec.structs.replace(load(file or DEFAULT_FILE), clock="system")
        async with opened(deployment, data) as process:
            return await act(process)

    try:
        return uvloop.run(run())
    except MarketplaceError as error:
        raise Failed(f"{error.code}: {error.detail}".rstrip(". "), "see --help") from error


def run_on(file: Path | None, data: Path, act: Callable[[Process], Awaitable[T]]) -> T:
    """Run ``act`` on the marketplace; its refusals become one line. :raises Failed:"""

    async def run() -> T:
        async with marketplace(file, data) as process:
            return await act(process)

    try:
        return uvloop.run(run())
    except Invalid as error:
        raise Failed(error.errors[0].detail.rstrip("."), "see --help", 2) from error
    except (NotFound, Conflict) as error:
        raise Failed(error.detail.rstrip("."), "list what there is", 2) from error
    except MarketplaceError as error:
        raise Failed(f"{error.code}: {error.detail}".rstrip(". "), "try again when its servers answer") from error
