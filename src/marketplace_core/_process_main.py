"""The bodies of ``marketplace serve``, ``work`` and ``migrate``: one process of a deployment."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server

from marketplace_core._assembly import Assembly, Process
from marketplace_core._migrate import Step, migrate_database, missing_steps
from marketplace_core._operations import operations_router
from marketplace_core._resources import Resources
from marketplace_core._runners import Runner
from marketplace_core._supervisor.secrets import deployment_secret
from marketplace_core._supervisor.state import embedded_url
from marketplace_core._worker import Worker
from marketplace_core.adapters.clock import RedisClock
from marketplace_core.adapters.redis_reads import EncodedReads
from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.deployment import Deployment
from marketplace_core.errors import Forbidden
from marketplace_core.http.app import Application, build_app
from marketplace_core.http.gate import SessionGate
from marketplace_core.values import AUDIENCES, Audience, Clock, SystemClock

__all__ = ["application", "migrate", "open_process", "serve", "work"]

TOKENS = "tokens"


@contextlib.asynccontextmanager
async def open_process(
    assembly: Assembly, url: Callable[[str], str], secret: bytes, *, runner: Runner = "local", pool_size: int = 8
) -> AsyncIterator[Process]:
    """A process of a deployment. ``url`` gives the address of each of its resources by name."""
    deployment = assembly.deployment
    resources = Resources(url, pool_size=pool_size)
    clock: Clock = SystemClock()
    try:
        if deployment.clock == "movable":
            clock = RedisClock(resources.redis(deployment.on["clock"]))
            await clock.refresh()
        yield Process(assembly, resources, clock, secret=secret, runner=runner)
    finally:
        await resources.close()


def application(process: Process, audiences: Sequence[Audience] = AUDIENCES) -> Application:
    """The ASGI application that answers these audiences."""
    routers = process.routers(audiences)
    if "admin" in audiences:
        routers.append(operations_router(process))
    cache = process.infrastructure_redis("cache")
    providers = process.assembly.providers
    sellers = process.port(Sellers) if "sellers" in providers else None

    async def shop(account_id: str) -> tuple[str, str] | None:
        membership = await sellers.get_membership(account_id) if sellers is not None else None
        if membership is None:
            return None
        if membership.status == "closed":
            raise Forbidden("sellers.suspended", "This shop is closed.")
        return membership.seller_id, membership.role

    gate = SessionGate(
        process.key(TOKENS), process.clock, cache, process.port(Auth), shop if sellers else None, with_reads=True
    )
    return build_app(
        routers,
        gate=gate,
        reads=EncodedReads(cache),
        title=process.deployment.name,
        version=metadata.version("marketplace-core"),
        ready=process.resources.ready,
        media=process.blobs,
    )


async def serve(deployment: Deployment, name: str, data: Path) -> None:
    """The HTTP side of a service or of a gateway, until SIGTERM; then what is under way is finished."""
    gateways = [gateway for gateway in deployment.gateways.values() if name in {gateway.name, gateway.service}]
    async with _opened(deployment, data) as process:
        servers = [
            Server(
                application(process, gateway.audiences),
                address=gateway.listen.rpartition(":")[0],
                port=int(gateway.listen.rpartition(":")[2]),
                interface=Interfaces.ASGINL,
                log_access=False,
            )
            for gateway in gateways
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(server.serve()) for server in servers]
            if isinstance(process.clock, RedisClock):
                tasks.append(group.create_task(process.clock.follow()))
            await _terminated()
            for server in servers:
                server.stop()  # type: ignore[no-untyped-call]
            for task in tasks[len(servers) :]:
                task.cancel()


async def work(deployment: Deployment, name: str, worker: str, data: Path) -> None:
    """A worker of a service, until SIGTERM. :raises WorkerTaskFailed: a part of it ended."""
    service = deployment.services[name]
    handlers = service.workers.get(worker, ["*"])
    async with _opened(deployment, data) as process:
        running = asyncio.create_task(Worker(process, service.plugins, handlers).run())
        ended = asyncio.create_task(_terminated())
        done, _ = await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, ended):
            task.cancel()
        await asyncio.gather(running, ended, return_exceptions=True)
        if running in done:
            running.result()


async def migrate(
    deployment: Deployment,
    data: Path,
    dry_run: bool = False,
    progress: Callable[[str, Step], None] = lambda _database, _step: None,
) -> dict[str, list[Step]]:
    """Bring every database up to date; gives per database the steps that ran, or would."""
    ran: dict[str, list[Step]] = {}
    async with _opened(deployment, data) as process:
        for name, plugins in process.assembly.databases().items():
            database = process.resources.database(name)
            if dry_run:
                ran[name] = await missing_steps(database, plugins)
            else:
                ran[name] = await migrate_database(database, plugins, partial(progress, name))
    return ran


@contextlib.asynccontextmanager
async def _opened(deployment: Deployment, data: Path) -> AsyncIterator[Process]:
    assembly = Assembly.of(deployment)
    secret = deployment_secret(deployment, data)
    async with open_process(assembly, lambda name: embedded_url(deployment, data, name), secret) as process:
        yield process


async def _terminated() -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
