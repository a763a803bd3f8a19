"""What ``marketplace up`` does, from a checked file to the end of everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from marketplace_core._supervisor import state as run_state
from marketplace_core._supervisor.children import Child
from marketplace_core._supervisor.demo import Account, kept_accounts
from marketplace_core._supervisor.edge import certificates, clients_of, proxies
from marketplace_core._supervisor.forks import ForkServer
from marketplace_core._supervisor.keeper import CannotStart, ProcessSpec, Supervisor, end_group
from marketplace_core._supervisor.plan import audiences_of, command, listeners, plan, simulator_addresses
from marketplace_core._supervisor.ports import hold, stays_in_use
from marketplace_core._supervisor.secrets import deployment_secret, simulator_secret
from marketplace_core._supervisor.servers import prepare, servers_of
from marketplace_core._supervisor.state import ProcessState, RunState
from marketplace_core.adapters.native.folder import DataFolder
from marketplace_core.adapters.native.startup import last_lines, size
from marketplace_core.deployment._edge import listeners_of
from marketplace_core.deployment._model import Deployment, split_address
from marketplace_core.values import utc_text

__all__ = ["Account", "PortInUse", "Started", "up"]

Say = Callable[[str], None]


class PortInUse(Exception):
    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause, self.remedy = cause, remedy


class Started(Struct, frozen=True):
    """The one line of ``up --json``."""

    url: str
    audiences: dict[str, str]
    accounts: dict[str, Account]
    simulators: dict[str, str]
    data: str
    edge: dict[str, str] = {}


class Signals:
    """The first of SIGINT, SIGTERM and SIGHUP asks for an orderly end; a further SIGINT for an immediate one."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.kill = asyncio.Event()

    def __enter__(self) -> Signals:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._heard, number)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to be interrupted."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _heard(self, number: int) -> None:
        if self.stop.is_set() and number == signal.SIGINT:
            self.kill.set()
        self.stop.set()


async def up(
    deployment: Deployment,
    data: Path,
    *,
    demo: bool,
    say: Say,
    started: Callable[[Started], None],
    forks: ForkServer,
    proxied: bool = False,
) -> int:
    """Run the deployment until a signal; ``started`` is called when every audience answers. ``forks`` is where its processes
    begin; it is ended with them. ``proxied``: with the proxies of its ``[edge]``.

    :returns: 0 once everything has ended. :raises CannotStart, EmbeddedError, PortInUse: nothing is left running.
    """
    with Signals() as signals:
        async with _Run(deployment, data, say, forks, proxied) as run:
            return await _until_told(run, signals, demo=demo, started=started)


async def _until_told(run: _Run, signals: Signals, *, demo: bool, started: Callable[[Started], None]) -> int:
    starting = asyncio.create_task(run.start(demo=demo))
    told = asyncio.create_task(signals.stop.wait())
    killed = asyncio.create_task(signals.kill.wait())
    try:
        await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            started(starting.result())
            await told
    finally:
        starting.cancel()
        stopping = asyncio.create_task(run.stop(starting))
        await asyncio.wait({stopping, killed}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            run.kill()
        await stopping
        for task in (told, killed):
            task.cancel()
    return 0


class _Run:
    """One run on a data folder, from the lock to its release."""

    def __init__(self, deployment: Deployment, data: Path, say: Say, forks: ForkServer, proxied: bool) -> None:
        self._deployment, self._data, self._show, self._forks = deployment, data.resolve(), say, forks
        self._folder = DataFolder(self._data, "supervisor")
        self._supervisor = Supervisor(self._data / "logs", changed=self._write, say=self._say, spawn=forks.spawn)
        self._helper: Child | None = None
        self._simulators: dict[str, str] = {}
        self._ready = False
        self._proxied = proxied and bool(deployment.edge)

    async def __aenter__(self) -> _Run:
        self._folder.acquire()
        try:
            edge = listeners_of(self._deployment.edge, self._deployment.front) if self._proxied else ()
            for key, listen in [*listeners(self._deployment), *edge]:
                await _check_free(self._deployment, key, listen)
        except BaseException:
            self._folder.release()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        run_state.remove(self._data)
        self._folder.release()

    async def start(self, *, demo: bool) -> Started:
        deployment, data = self._deployment, self._data
        (data / "run").mkdir(exist_ok=True)
        deployment_secret(deployment, data)
        simulator_secret(data)
        await prepare(deployment, data, "before")
        self._simulators = await simulator_addresses(deployment, data)
        self._write()
        self._say("starting the servers")
        await self._supervisor.start(servers_of(deployment, data))
        await prepare(deployment, data, "after")
        self._say("migrating")
        await self._help("migrate")
        self._say("starting the marketplace")
        processes = plan(deployment, data, self._simulators)
        await self._supervisor.start(processes.simulators, processes.workers, processes.apis, await self._edge())
        accounts = await self._demo() if demo else {}
        self._ready = True
        self._write()
        return Started(
            url=next((gateway.url for gateway in deployment.gateways.values()), ""),
            audiences=audiences_of(deployment),
            accounts=accounts,
            simulators={name: f"http://{address}" for name, address in self._simulators.items()},
            data=os.fspath(data),
            edge=clients_of(deployment) if self._proxied else {},
        )

    async def _edge(self) -> list[ProcessSpec]:
        """The proxies: they know the routes, so that what is rendered for them needs every plugin, and we stay small."""
        if not self._proxied:
            return []
        folder = self._data / "edge"
        certificates(self._deployment)
        argv = (sys.executable, "-m", "marketplace_core.cli", "render", os.fspath(self._deployment.file), "nginx", "--out")
        await self._run("render", (*argv, os.fspath(folder)))
        return proxies(self._deployment, folder)

    async def _demo(self) -> dict[str, Account]:
        """Load what the demo sells, once. ``demo`` is a command of its own so that we stay small."""
        if kept := kept_accounts(self._data):
            return kept
        self._say("loading the demo")
        lines = await self._help("demo")
        return msgspec.json.decode(lines.rpartition(" | ")[2], type=dict[str, Account])

    async def _help(self, verb: str) -> str:
        """Run a command of ours on the deployment to its end. :returns: the last lines that it wrote."""
        return await self._run(verb, command(verb, self._deployment, data=self._data))

    async def _run(self, verb: str, argv: Sequence[str]) -> str:
        log = self._data / "logs" / f"{verb}.log"
        offset = size(log)
        child = self._helper = await self._forks.spawn(verb, argv, log=log)
        try:
            code = await child.wait()
        finally:
            if child.running:
                await child.stop()
            end_group(child)
        lines = last_lines(log, offset)
        if code != 0:
            raise CannotStart(verb, f"it ended with code {code}", lines, log)
        return lines

    async def stop(self, starting: asyncio.Task[Any]) -> None:
        await asyncio.gather(starting, return_exceptions=True)
        self._say("stopping")
        await self._supervisor.stop()
        self._forks.stop()

    def kill(self) -> None:
        self._say("ending at once")
        if self._helper is not None:
            self._helper.kill()
        self._supervisor.kill()
        self._forks.stop()

    def _say(self, text: str) -> None:
        """To whoever watches, and to a file."""
        self._show(text)
        log = self._data / "logs" / "supervisor.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("a") as file:
            file.write(f"{utc_text(datetime.now(UTC))} {text}\n")

    def _write(self) -> None:
        deployment = self._deployment
        me = ProcessState("supervisor", "supervisor", os.getpid(), 0)
        forks = ProcessState("fork-server", "supervisor", self._forks.pid, 0)
        state = RunState(
            supervisor=os.getpid(),
            file=os.fspath(deployment.file),
            clock=deployment.clock,
            listen={gateway.name: gateway.listen for gateway in deployment.gateways.values()},
            audiences=audiences_of(deployment),
            simulators={name: f"http://{address}" for name, address in self._simulators.items()},
            processes=[me, forks, *self._supervisor.processes],
            ready=self._ready,
        )
        run_state.write(self._data, state)
        run_state.write_targets(self._data, state.processes)


async def _check_free(deployment: Deployment, key: str, listen: str) -> None:
    one = len(deployment.gateways) == 1 and key.startswith("gateways.")
    remedy = "choose another with --port" if one else f"stop what listens there, or change {key}"
    try:
        taken = await stays_in_use(listen)
    except OSError as error:
        raise PortInUse(f"{listen} cannot be listened on ({error.strerror})", remedy) from None
    port = (split_address(listen) or ("", 0))[1]
    if taken:
        raise PortInUse(f"port {port} is in use ({listen})", remedy)
    hold(port)  # for when what listens there is started again
