"""The bodies of ``marketplace serve``, ``work`` and ``migrate``: one process of a deployment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server

from marketplace_core._assembly import Assembly, Process
from marketplace_core._migrate import MigrationError, Step, migrate_database, missing_steps
from marketplace_core._operations import operations_router
from marketplace_core._resources import Resources
from marketplace_core._runners import Runner
from marketplace_core._supervisor.secrets import deployment_secret, simulator_secret
from marketplace_core._supervisor.state import embedded_url, running
from marketplace_core._worker import Worker
from marketplace_core.adapters.clock import RedisClock
from marketplace_core.adapters.redis_reads import EncodedReads
from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.deployment import Deployment
from marketplace_core.errors import Forbidden
from marketplace_core.http.app import Application, build_app
from marketplace_core.http.gate import SessionGate
from marketplace_core.http.logging import configure_logging
from marketplace_core.values import AUDIENCES, Audience, SystemClock

__all__ = ["application", "migrate", "open_process", "opened", "serve", "serving", "work"]

TOKENS = "tokens"
DRAIN_SECONDS = 10.0


@contextlib.asynccontextmanager
async def open_process(
    assembly: Assembly, url: Callable[[str], str], secret: bytes, *, runner: Runner = "local", pool_size: int = 8
) -> AsyncIterator[Process]:
    """A process of a deployment. ``url`` gives the address of each of its resources by name."""
    deployment = assembly.deployment
    resources = Resources(url, pool_size=pool_size)
    movable = RedisClock(resources.redis(deployment.on["clock"])) if deployment.clock == "movable" else None
    process = Process(assembly, resources, movable or SystemClock(), secret=secret, runner=runner)
    try:
        if movable is not None:
            await movable.refresh()
        yield process
    finally:
        await process.close()


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
    configure_logging()
    gateways = [gateway for gateway in deployment.gateways.values() if name in {gateway.name, gateway.service}]
    async with opened(deployment, data) as process, contextlib.AsyncExitStack() as stack:
        await _check_migrated(process)
        following = asyncio.create_task(process.clock.follow()) if isinstance(process.clock, RedisClock) else None
        for gateway in gateways:
            await stack.enter_async_context(serving(application(process, gateway.audiences), gateway.listen))
        service = deployment.services.get(name)
        if service is not None and service.internal is not None:
            await stack.enter_async_context(serving(application(process, ()), service.internal))
        await _terminated()
        if following is not None:
            following.cancel()


@contextlib.asynccontextmanager
async def serving(app: Application, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Answer HTTP at ``host:port``; gives the address. In the end what is under way is finished."""
    host, _, port = listen.rpartition(":")
    number = int(port) or _free_port(host)
    server = Server(app, address=host, port=number, interface=Interfaces.ASGINL, log_access=False, log_enabled=False)
    task = asyncio.create_task(server.serve())
    try:
        await _listening(task, host, number)
        yield f"http://{host}:{number}"
    finally:
        app.close()  # open event streams would keep the server from ever ending
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({task}, timeout=DRAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await app.drained()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        found: int = probe.getsockname()[1]
        return found


async def _listening(task: asyncio.Task[None], host: str, port: int) -> None:
    while True:
        if task.done():
            task.result()
            raise RuntimeError(f"the server at {host}:{port} ended at once")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        await asyncio.sleep(0.01)


async def work(deployment: Deployment, name: str, worker: str, data: Path) -> None:
    """A worker of a service, until SIGTERM. :raises WorkerTaskFailed: a part of it ended."""
    configure_logging()
    service = deployment.services[name]
    handlers = service.workers.get(worker, ["*"])
    async with opened(deployment, data) as process:
        await _check_migrated(process)
        working = asyncio.create_task(Worker(process, service.plugins, handlers).run())
        ended = asyncio.create_task(_terminated())
        done, _ = await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, ended):
            task.cancel()
        await asyncio.gather(working, ended, return_exceptions=True)
        if working in done:
            working.result()


async def migrate(
    deployment: Deployment,
    data: Path,
    dry_run: bool = False,
    progress: Callable[[str, Step], None] = lambda _database, _step: None,
) -> dict[str, list[Step]]:
    """Bring every database up to date; gives per database the steps that ran, or would."""
    ran: dict[str, list[Step]] = {}
    async with opened(deployment, data) as process:
        for name, plugins in process.assembly.databases().items():
            database = process.resources.database(name)
            if dry_run:
                ran[name] = await missing_steps(database, plugins)
            else:
                ran[name] = await migrate_database(database, plugins, partial(progress, name))
    return ran


@contextlib.asynccontextmanager
async def opened(deployment: Deployment, data: Path) -> AsyncIterator[Process]:
    """A process of a deployment whose embedded resources are in ``data``."""
    simulators = _know_simulators(data)
    assembly = Assembly.of(deployment)
    secret = deployment_secret(deployment, data)
    async with open_process(assembly, lambda name: embedded_url(deployment, data, name), secret) as process:
        process.simulators = simulators
        yield process


def _know_simulators(data: Path) -> dict[str, str]:
    """The simulators that ``up`` started. The plugins that speak to them look into the environment, as for any address."""
    state = running(data)
    if state is None or not state.simulators:
        return {}
    os.environ.setdefault("MARKETPLACE_SIMULATOR_SECRET", simulator_secret(data))
    for name, url in state.simulators.items():
        os.environ.setdefault(f"MARKETPLACE_SIMULATOR_{name.upper()}_URL", url)
    return dict(state.simulators)


async def _check_migrated(process: Process) -> None:
    """:raises MigrationError: a database is not up to date."""
    for name, plugins in process.assembly.databases().items():
        missing = await missing_steps(process.resources.database(name), plugins)
        if missing:
            first = f"{missing[0].plugin} {missing[0].number}"
            raise MigrationError(f"{name} lacks {len(missing)} migrations, the first being {first}; run marketplace migrate")


async def _terminated() -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
