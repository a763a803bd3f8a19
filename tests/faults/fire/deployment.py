"""A deployment that ``marketplace up`` runs on a folder of its own, and whatever is left of it while it is being killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil

from marketplace_core._supervisor.ports import free_port
from marketplace_core._supervisor.state import Kind, ProcessState, RunState, running
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing.deployments import elsewhere
from marketplace_core.testing.shop import PASSWORD
from tests.scenarios.nginx import Here

__all__ = ["Standing", "copied", "processes_below"]

ROOT = Path(__file__).parents[3]
FILES = {"embedded": DEFAULT_FILE, **{name: ROOT / "examples" / f"{name}.toml" for name in ("split", "small", "distributed")}}
#: What ``up`` is told besides, by deployment.
OPTIONS = {"distributed": ("--servers", "native")}
#: Which client of ``[edge]`` has an audience, where there are proxies.
HOSTS = {"buyer": "web", "seller": "web", "logistics": "web", "admin": "operators"}
OURS = [sys.executable, "-m", "marketplace_core.cli"]
START_SECONDS, STOP_SECONDS = 300.0, 120.0


def copied(name: str, folder: Path) -> Path:
    """The deployment's file, on ports that are free now."""
    if name != "embedded":
        return elsewhere(FILES[name], folder)
    text = re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{free_port()}", FILES[name].read_text())
    file = folder / f"{name}.toml"
    file.write_text(text)
    return file


def processes_below(pid: int) -> list[psutil.Process]:
    """The process and all that it started: PostgreSQL's sessions are processes of their own."""
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(pid)
        return [found, *found.children(recursive=True)]
    return []


class Standing:
    """:meth:`start` it, kill of it what you like, :meth:`stop` what is there."""

    def __init__(self, file: Path, data: Path, env: Mapping[str, str] | None = None, options: Sequence[str] = ()) -> None:
        """``file`` is, once it runs, that which runs: with ``--servers native`` one that is made of it."""
        self.file, self.data = file, data
        self._argv = [*OURS, "up", os.fspath(file), "--json", "--clock", "movable", "--data", os.fspath(data), *options]
        self.env = {**os.environ, **(env or {})}
        self.said: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None
        self._seen: set[psutil.Process] = set()

    async def start(self) -> None:
        """Until every audience answers. :raises RuntimeError: it does not start; says what it wrote."""
        log = self.data.parent / "up.log"
        with log.open("a") as errors:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                self._argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=self.env
            )
        output = self._process.stdout
        assert output is not None
        try:
            line = await asyncio.wait_for(asyncio.to_thread(output.readline), START_SECONDS)
        except TimeoutError:
            self._process.kill()
            line = ""
        if not line:
            raise RuntimeError(f"it did not start: {log.read_text()[-2000:]}")
        self.said = json.loads(line)
        if (state := running(self.data)) is not None:
            self.file = Path(state.file)
        self.look()

    def look(self) -> None:
        """Remember what runs, so that :meth:`stop` can tell whether anything is left."""
        if self._process is not None:
            self._seen.update(processes_below(self._process.pid)[1:])

    async def run(self, *arguments: str, given: str = "") -> str:
        """A command on this deployment; what it wrote."""
        argv = [*OURS, *arguments, "--file", os.fspath(self.file), "--data", os.fspath(self.data)]
        done = await asyncio.to_thread(
            subprocess.run, argv, input=given, capture_output=True, text=True, check=False, env=self.env
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
        return str(done.stdout)

    async def account(self, role: str, *options: str) -> str:
        """The e-mail address of a new account of a closed audience."""
        email = f"{role}@example.org"
        await self.run("accounts", "create", "--role", role, "--email", email, *options, given=f"{PASSWORD}\n")
        return email

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self._process is not None
        return self._process.pid

    @property
    def audiences(self) -> dict[str, str]:
        """The prefix of each, as clients reach it."""
        found: dict[str, str] = self.said["audiences"]
        edge = self.said["edge"]
        return {name: f"{edge[HOSTS[name]]}/{name}/v1" if edge else prefix for name, prefix in found.items()}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """It finds this machine by any host of its proxies, and trusts their certificates."""
        trusting = ssl.create_default_context()
        for name in self.said["edge"]:
            trusting.load_verify_locations(cafile=os.fspath(self.data / "edge" / f"{name}.pem"))
        connector = aiohttp.TCPConnector(limit=0, ssl=trusting, resolver=Here())
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    @property
    def simulators(self) -> dict[str, str]:
        found: dict[str, str] = self.said["simulators"]
        return found

    def processes(self, *kinds: Kind) -> list[ProcessState]:
        """Those that run now, as ``ps`` would list them."""
        self.look()
        with contextlib.suppress(OSError, msgspec.DecodeError):
            state = msgspec.json.decode((self.data / "run" / "state.json").read_bytes(), type=RunState)
            return [process for process in state.processes if process.kind in kinds and process.pid is not None]
        return []

    async def kill(self) -> None:
        """SIGKILL to the supervisor alone; what it started has to end by itself."""
        if self._process is not None:
            self.look()
            self._process.kill()
            await asyncio.to_thread(self._process.communicate)

    async def stop(self) -> list[psutil.Process]:
        """As Ctrl-C does. :returns: what is left running, which should be nothing."""
        self.look()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                await asyncio.to_thread(self._process.wait, STOP_SECONDS)
            finally:
                self._process.kill()
                self._process.communicate()
        deadline = time.monotonic() + 10
        while (left := list(_alive(self._seen))) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return left


def _alive(processes: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                yield process
