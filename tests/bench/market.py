"""The marketplace that is measured: ``marketplace up --demo`` on a temporary folder, its servers as in production."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from marketplace_core._supervisor.ports import free_port
from marketplace_core._supervisor.state import RunState, running
from marketplace_core.adapters.embedded import EmbeddedPostgres
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.migrate import migrate_database
from marketplace_core.deployment import DEFAULT_FILE, load
from marketplace_core.deployment._kinds import address_of
from marketplace_core.testing.client import Client, clients

__all__ = ["ADDRESS", "CLI", "Market", "variants"]

ADDRESS = {
    "name": "Bea Buyer",
    "line1": "1 Test Street",
    "line2": "",
    "city": "Berlin",
    "region": "",
    "postal_code": "10115",
    "country": "DE",
    "phone": "",
}
PATIENCE = 120.0
CLI = (sys.executable, "-m", "marketplace_core.cli")


class Market:
    """A deployment with the demo in it, the embedded one if none is named. It may be stopped and started again; its data
    stays until the end."""

    def __init__(self, file: Path = DEFAULT_FILE) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mp-bench-"))
        self.folder.chmod(0o711)  # PostgreSQL runs as another user
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o711)
        self.deployment = load(file)
        self.accounts: dict[str, dict[str, str]] = {}
        self.audiences: dict[str, str] = {}
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Of the embedded deployment, which answers every audience at one address."""
        return f"http://127.0.0.1:{self._port}"

    def address(self, path: str) -> str:
        """Where a buyer's path is answered."""
        return self.audiences["buyer"] + path.removeprefix("/buyer/v1")

    @property
    def running(self) -> bool:
        return self._process is not None

    async def start(self) -> float:
        """Seconds until it says that it is ready."""
        began = time.perf_counter()
        file = self.deployment.file
        where = ("--port", str(self._port)) if file == DEFAULT_FILE else (os.fspath(file),)
        options = ("--demo", "--json", "--data", str(self.data), *where)
        with (self.folder / "up.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *CLI, "up", *options, stdout=PIPE, stderr=log, start_new_session=True
            )
        if self._process.stdout is None:
            raise RuntimeError("the marketplace has no output")
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        taken = time.perf_counter() - began
        if not line:
            raise RuntimeError(f"the marketplace did not start: {(self.folder / 'up.log').read_text()}")
        said = json.loads(line)
        self.accounts, self.audiences = said["accounts"], said["audiences"]
        return taken

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(PATIENCE):
                await process.wait()

    async def close(self) -> None:
        await self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ── its parts ────────────────────────────────────────────────────────────────────────────────────────────

    def resource(self, name: str) -> str:
        """The address of a server."""
        return address_of(self.deployment, self.data, name)

    @property
    def postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.data)

    def database(self, name: str = "main", size: int = 2) -> Database:
        return Database(self.postgres.dsn(name), size=size)

    @property
    def state(self) -> RunState:
        state = running(self.data)
        if state is None:
            raise RuntimeError("the marketplace does not run")
        return state

    @contextlib.contextmanager
    def worker_stopped(self) -> Iterator[None]:
        """Without a worker nothing but requests reaches the servers."""
        pids = [process.pid for process in self.state.processes if process.kind == "worker" and process.pid is not None]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def empty_database(self, name: str) -> str:
        """A database with core's tables only, made anew; gives its address."""
        administering = self.database("postgres")
        await administering.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await administering.execute(f'CREATE DATABASE "{name}"')
        await administering.close()
        made = self.database(name)
        await migrate_database(made, {})
        await made.close()
        return self.postgres.dsn(name)

    async def clone(self, name: str) -> None:
        """Copy the database, which nobody may be connected to: stops and starts everything."""
        await self.stop()
        server = self.postgres
        await server.start()
        try:
            database = self.database("postgres")
            await database.execute(f'DROP DATABASE IF EXISTS "{name}"')
            await database.execute(f'CREATE DATABASE "{name}" TEMPLATE main')
            await database.close()
        finally:
            await server.stop()
        await self.start()

    # ── those who use it ─────────────────────────────────────────────────────────────────────────────────────

    @contextlib.asynccontextmanager
    async def client(self, *, logged_in: bool = False) -> AsyncIterator[Client]:
        """A buyer: a guest, or the demo's."""
        async with clients(self.audiences) as make:
            client = make("buyer")
            if logged_in:
                await client.log_in(**self.accounts["buyer"])
            yield client


async def variants(client: Client, count: int) -> list[str]:
    """For sale and in stock, each of another product; fewer if there are not so many."""
    found: list[str] = []
    cursor = ""
    while len(found) < count:
        page: Any = await client.get(f"/products?limit=100{cursor}")
        for card in page["items"]:
            product = await client.get(f"/products/{card['id']}")
            found += [variant["id"] for variant in product["variants"] if (variant["available"] or 0) >= 10][:1]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    return found[:count]
