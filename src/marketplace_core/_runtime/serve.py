"""The bodies of ``marketplace serve``, ``work`` and ``migrate``: one process of a deployment."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from marketplace_core import metrics, tracing
from marketplace_core._rpc.runners import Runner
from marketplace_core._rpc.server import Allowed, InternalApplication
from marketplace_core._runtime.assembly import Assembly, Process
from marketplace_core._runtime.keys import OPERATORS, Keys, RootKeys, callers
from marketplace_core._runtime.operator_routes import operations_router
from marketplace_core._runtime.operators import CORE, Operations, OwnOperations
from marketplace_core._runtime.resources import Resources
from marketplace_core._runtime.worker import Worker
from marketplace_core._supervisor.children import notify_ready
from marketplace_core._supervisor.ports import free_port
from marketplace_core._supervisor.secrets import process_keys, simulator_secret
from marketplace_core._supervisor.state import running
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.redis.reads import EncodedReads
from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.sellers import Sellers, ShopStatus
from marketplace_core.deployment import Deployment, Limits
from marketplace_core.deployment._kinds import address_of
from marketplace_core.errors import Forbidden, NotFound, Unavailable
from marketplace_core.http.addresses import Addresses
from marketplace_core.http.app import Application, HttpOptions, build_app
from marketplace_core.http.gate import SessionGate
from marketplace_core.http.limits import RateLimiter
from marketplace_core.http.logging import configure_logging
from marketplace_core.ports.servers import MigrationError, Step
from marketplace_core.values import AUDIENCES, Audience, SystemClock

__all__ = ["application", "migrate", "open_process", "opened", "serve", "serving", "work"]

T = TypeVar("T")

DRAIN_SECONDS = 10.0
#: How long a process that begins waits for its databases, and how often it looks.
AWAY_SECONDS = 30.0
AWAY_PAUSE = 0.2
#: About what a request's header may have, and of what a body is read at once; the server answers 431 to more.
HEADER_BYTES = 32 * 1024
DEFAULT_LIMITS = Limits()
#: Other processes close what is idle first, or a call now and then would find its connection being closed.
INTERNAL_LIMITS = Limits(header_seconds=75)


@contextlib.asynccontextmanager
async def open_process(
    assembly: Assembly,
    url: Callable[[str], str],
    secret: bytes | Keys,
    *,
    name: str = OPERATORS,
    runner: Runner = "local",
    own: frozenset[str] | None = None,
) -> AsyncIterator[Process]:
    """A process of a deployment. ``url`` gives the address of each of its resources by name; ``secret`` is the deployment's, or
    the keys that the process has; ``own`` are the plugins whose services live in it (None: every one)."""
    keys = secret if isinstance(secret, Keys) else RootKeys(secret)
    deployment = assembly.deployment
    resources = Resources(deployment, url)
    movable: RedisClock | None = resources.play("clock") if deployment.clock == "movable" else None
    process = Process(assembly, resources, movable or SystemClock(), keys=keys, name=name, runner=runner, own=own)
    try:
        if movable is not None:
            await movable.refresh()
        yield process
    finally:
        await process.close()


def application(process: Process, audiences: Sequence[Audience] = AUDIENCES, *, watched: bool = True) -> Application:
    """The ASGI application that answers these audiences; ``watched``: and ``/metrics``, to those who are near."""
    routers = process.routers(audiences)
    if "admin" in audiences:
        routers.append(operations_router(process))
    cache, sessions = process.infrastructure_redis("cache"), process.infrastructure_redis("sessions")
    providers = process.assembly.providers
    sellers = process.port(Sellers) if "sellers" in providers else None

    async def shop(account_id: str, acts: bool) -> tuple[str, str] | None:
        membership = await sellers.get_membership(account_id) if sellers is not None else None
        if membership is None:
            return None
        _check_shop(membership.status, acts)
        return membership.seller_id, membership.role

    async def seller(seller_id: str, acts: bool) -> None:
        try:
            found = await sellers.get_shop(seller_id) if sellers is not None else None
        except NotFound:
            found = None
        if found is None:
            raise Forbidden("sellers.no_shop", "This API key is of no shop that there is.")
        _check_shop(found.status, acts)

    gate = SessionGate(
        process.keys.public(providers["auth"]),
        process.clock,
        sessions,
        process.port(Auth),
        shop if sellers else None,
        seller=seller if sellers else None,
        with_reads=sessions is cache,
    )
    deployment, limits = process.deployment, process.deployment.limits
    return build_app(
        routers,
        gate=gate,
        reads=EncodedReads(cache),
        title=deployment.name,
        version=metadata.version("marketplace-core"),
        ready=process.resources.ready,
        media=process.blobs,
        options=HttpOptions(body_seconds=limits.body_seconds, open_documents=deployment.profile == "embedded"),
        limits=(
            RateLimiter(limits, process.clock, process.resources.play("rates")),
            Addresses(deployment.trusted_proxies, limits.exempt),
        ),
        metrics=watched,
    )


def _check_shop(status: ShopStatus, acts: bool) -> None:
    """:raises Forbidden: a closed shop does nothing, and a suspended one only what is not acting."""
    if status == "closed":
        raise Forbidden("sellers.suspended", "This shop is closed.")
    if status == "suspended" and acts:
        raise Forbidden("sellers.suspended", "This shop is suspended: it may look, and ship what is ordered.")


async def serve(deployment: Deployment, name: str, data: Path, listen: str | None = None) -> None:
    """The HTTP side of a service or of a gateway, until SIGTERM; then what is under way is finished.

    A service that is ``alone`` has its workers here, too.

    ``listen``: where this process alone answers ``/healthz``, ``/readyz`` and ``/metrics``: replicas share all other addresses.
    """
    configure_logging()
    gateways = [gateway for gateway in deployment.gateways.values() if name in {gateway.name, gateway.service}]
    service = deployment.services.get(name)
    own = frozenset(deployment.plugins_of(name)) if service is not None else frozenset()
    elsewhere = listen is not None or (service is not None and service.internal is not None)
    async with opened(deployment, data, own, name) as process, contextlib.AsyncExitStack() as stack:
        stack.enter_context(_seen(deployment, name, "api"))
        await _check_migrated(process)
        following = asyncio.create_task(process.clock.follow()) if isinstance(process.clock, RedisClock) else None
        for gateway in gateways:
            app = application(process, gateway.audiences, watched=not elsewhere)
            await stack.enter_async_context(serving(app, gateway.listen, deployment.limits))
        if service is not None and service.internal is not None:
            await stack.enter_async_context(serving(internal_application(process), service.internal, INTERNAL_LIMITS))
        watched = await stack.enter_async_context(_watched(process, listen))
        workers = list(service.workers) if service is not None and service.alone else []
        if workers:
            await _check_bus(process)
        working = [asyncio.create_task(Worker(process, name, worker).run()) for worker in workers]
        _settle_memory()
        notify_ready(watched)
        try:
            await _until_ended(working)
        finally:
            if following is not None:
                following.cancel()


def internal_application(process: Process) -> InternalApplication:
    """What a process answers to the others of its deployment."""
    ports = {**process.internal_ports(), CORE: (Operations, OwnOperations(process))}
    return InternalApplication(ports, _callers(process), process.resources.ready)


def _callers(process: Process) -> dict[bytes, Allowed]:
    """Who may call this service, by key: a gateway for its own audiences, whatever it says; the other processes for any."""
    gateways = process.deployment.gateways
    found: dict[bytes, Allowed] = {}
    for name in callers(process.deployment):
        if name != process.name:
            allowed = Allowed(name, gateways[name].audiences if name in gateways else None)
            found |= dict.fromkeys(process.keys.between(name, process.name), allowed)
    return found


@contextlib.contextmanager
def _seen(deployment: Deployment, name: str, kind: str) -> Iterator[None]:
    """Say in its metrics what this process is, and record traces."""
    metrics.introduce(deployment.name, name, kind)
    to = None if deployment.trace_to is None else deployment.resolve(deployment.trace_to)
    with tracing.start(deployment.name, name, kind, to, deployment.trace_sample, deployment.file.parent):
        yield


@contextlib.asynccontextmanager
async def _watched(process: Process, listen: str | None) -> AsyncIterator[str | None]:
    """Answer those who watch this process at ``listen``; gives the ``host:port``."""
    if listen is None:
        yield None
        return
    async with serving(InternalApplication({}, {}, process.resources.ready), listen, INTERNAL_LIMITS) as url:
        yield url.removeprefix("http://")


@contextlib.asynccontextmanager
async def serving(
    app: Application | InternalApplication, listen: str = "127.0.0.1:0", limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[str]:
    """Answer HTTP at ``host:port``; gives the address. In the end what is under way is finished."""
    host, _, port = listen.rpartition(":")
    number = int(port) or free_port(host=host)
    server = Server(
        app,
        address=host,
        port=number,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,  # proxies speak it to what is behind them; of HTTP/2 headers of 16 MiB would be taken
        websockets=False,
        # What it calls backpressure is how many connections are open: of 128, its default, as many idle ones would leave
        # nobody else in. The header's time is the idle time too.
        backlog=1024,
        backpressure=limits.connections,
        http1_settings=HTTP1Settings(header_read_timeout=limits.header_seconds * 1000, max_buffer_size=HEADER_BYTES),
        log_access=False,
        log_enabled=False,
    )
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


async def work(deployment: Deployment, name: str, worker: str, data: Path, listen: str | None = None) -> None:
    """A worker of a service, until SIGTERM. ``listen``: where it answers ``/healthz``, ``/readyz`` and ``/metrics``.

    :raises WorkerTaskFailed: a part of it ended.
    """
    configure_logging()
    async with (
        opened(deployment, data, frozenset(deployment.plugins_of(name)), name) as process,
        contextlib.AsyncExitStack() as stack,
    ):
        stack.enter_context(_seen(deployment, name, "worker"))
        await _check_migrated(process)
        await _check_bus(process)
        working = asyncio.create_task(Worker(process, name, worker).run())
        watched = await stack.enter_async_context(_watched(process, listen))
        ready = asyncio.create_task(_tell_when_ready(process, watched))
        try:
            await _until_ended([working])
        finally:
            ready.cancel()


async def _until_ended(working: Sequence[asyncio.Task[None]]) -> None:
    """Until SIGTERM. :raises WorkerTaskFailed: a worker ended first."""
    ended = asyncio.create_task(_terminated())
    done, _ = await asyncio.wait({ended, *working}, return_when=asyncio.FIRST_COMPLETED)
    for task in (ended, *working):
        task.cancel()
    await asyncio.gather(ended, *working, return_exceptions=True)
    for task in working:
        if task in done:
            task.result()


async def _tell_when_ready(process: Process, watched: str | None) -> None:
    """Once each of the servers that the worker uses answers."""
    while any(state != "ok" for state in (await process.resources.ready()).values()):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    _settle_memory()
    notify_ready(watched)


def _settle_memory() -> None:
    """What is there by now stays for ever: to search it for cycles again and again costs requests their time.

    A request makes some hundred objects and leaves no cycle, so that the search for young ones can wait for more of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def migrate(
    deployment: Deployment,
    data: Path,
    dry_run: bool = False,
    progress: Callable[[str, Step], None] = lambda _database, _step: None,
) -> dict[str, list[Step]]:
    """Bring every database up to date; gives per database the steps that ran, or would."""
    ran: dict[str, list[Step]] = {}
    async with opened(deployment, data) as process:
        for name, wanted in process.databases().items():
            truth = process.truth_on(name)
            ran[name] = await (truth.missing(wanted) if dry_run else truth.migrate(wanted, partial(progress, name)))
        if (bus := deployment.on.get("bus")) is not None:
            told = process.bus.missing if dry_run else process.bus.prepare
            ran.setdefault(bus, []).extend(await told(process.routing.published(process.bus)))
        if (files := deployment.on.get("blobs")) is not None:
            ran.setdefault(files, []).extend(await (process.blobs.missing() if dry_run else process.blobs.prepare()))
    return ran


@contextlib.asynccontextmanager
async def opened(
    deployment: Deployment, data: Path, own: frozenset[str] | None = None, name: str = OPERATORS
) -> AsyncIterator[Process]:
    """A process of a deployment whose embedded resources are in ``data``, with the services of the plugins ``own``."""
    simulators = _know_simulators(data) or {
        name: f"http://{simulator.listen}" for name, simulator in deployment.simulators.items() if simulator.listen
    }
    assembly = Assembly.of(deployment)
    keys = process_keys(deployment, data, name)
    async with open_process(assembly, partial(address_of, deployment, data), keys, own=own, name=name) as process:
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


async def when_there(ask: Callable[[], Awaitable[T]], seconds: float = AWAY_SECONDS) -> T:
    """What is answered once who is asked is there again: to end and to be started anew would take longer.

    :raises Unavailable: still away after ``seconds``.
    """
    until = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await ask()
        except Unavailable:
            if asyncio.get_running_loop().time() >= until:
                raise
        await asyncio.sleep(AWAY_PAUSE)


async def _check_migrated(process: Process) -> None:
    """:raises MigrationError: a database is not up to date."""
    for name, wanted in process.databases(extending=True).items():
        missing = await when_there(partial(process.truth_on(name).missing, wanted))
        if missing:
            first = f"{missing[0].plugin} {missing[0].number}"
            raise MigrationError(f"{name} lacks {len(missing)} migrations, the first being {first}", "run marketplace migrate")


async def _check_bus(process: Process) -> None:
    """:raises MigrationError: a topic is not there, or not as its settings say."""
    if missing := await when_there(partial(process.bus.missing, process.routing.published(process.bus))):
        raise MigrationError(f"the bus lacks {missing[0].name}", "run marketplace migrate")


async def _terminated() -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
