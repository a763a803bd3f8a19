"""A whole marketplace in one ``async with``: its plugins on real servers, its worker, and its HTTP side if wanted."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from marketplace_core._assembly import Assembly, Process
from marketplace_core._process_main import application, open_process, serving
from marketplace_core._quiesce import Pending, pending
from marketplace_core._runners import Runner
from marketplace_core._worker import Worker
from marketplace_core.adapters.clock import RedisClock
from marketplace_core.adapters.redis import connect
from marketplace_core.deployment import load

if TYPE_CHECKING:
    from marketplace_core.testing.servers import Servers

__all__ = ["Marketplace", "NotSettled", "open_marketplace"]

P = TypeVar("P")

SECRET = b"the secret of a marketplace that lives as long as a test"

_FILE = """
[deployment]
name = "test"
profile = "test"
currency = "EUR"
clock = "movable"
secret = "file:secret"
on = {{ bus = "lasting", jobs = "lasting", clock = "lasting", cache = "cache", blobs = "files", sagas = "main" }}
[resources]
main = "{main}"
lasting = "{lasting}"
cache = {{ url = "{cache}", role = "cache" }}
files = "folder:{files}"
{plugins}
[services.market]
plugins = [{names}]
"""


class NotSettled(AssertionError):
    """The marketplace did not come to rest in time; says what is under way."""


class Marketplace:
    """``urls`` are the addresses of its resources; ``file`` is its deployment file."""

    def __init__(self, process: Process, file: Path, urls: dict[str, str]) -> None:
        self.process = process
        self.file = file
        self.urls = urls
        self.url = ""
        self._worker: asyncio.Task[None] | None = None

    def port(self, capability: type[P]) -> P:
        """A capability's port, as other plugins reach it."""
        return self.process.port(capability)

    @property
    def clock(self) -> RedisClock:
        clock = self.process.clock
        if not isinstance(clock, RedisClock):
            raise TypeError("the clock of this marketplace cannot be moved")
        return clock

    def start_worker(self) -> None:
        service = next(iter(self.process.deployment.services.values()))
        self._worker = asyncio.create_task(Worker(self.process, service.plugins).run(), name="worker")

    async def stop_worker(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            self._worker = None

    async def settle(self, seconds: float = 30.0) -> None:
        """Wait until nothing is under way any more. :raises NotSettled: or what ended the worker."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            if self._worker is not None and self._worker.done():
                self._worker.result()
            counts: Pending = await pending(self.process)
            if counts.total == 0:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise NotSettled(f"after {seconds} s there still is {counts}")
            await asyncio.sleep(0.03)


@contextlib.asynccontextmanager
async def open_marketplace(
    servers: Servers,
    plugins: Sequence[str],
    *,
    runner: Runner = "local",
    settings: Mapping[str, str] | None = None,
    worker: bool = True,
    http: bool = False,
    databases: Mapping[str, str] | None = None,
) -> AsyncIterator[Marketplace]:
    """Installed plugins by name, in this order, on a database of their own.

    :param settings: TOML lines for a plugin's table. :param http: whether all audiences are answered at ``url``.
    :param databases: an existing database, to open again what an earlier marketplace left: ``urls`` of that one.
    """
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:
        file = Path(folder, "test.toml")
        Path(folder, "secret").write_bytes(SECRET)  # noqa: ASYNC240 - a test has nothing else to do
        urls = dict(databases or {}) or {
            "main": "postgres://localhost/to-be-made",
            "lasting": servers.redis_url(servers.lasting),
            "cache": servers.redis_url(servers.cache),
            "files": str(Path(folder, "files")),
        }
        tables = "\n".join(f"[plugins.{name}]\n{(settings or {}).get(name, '')}" for name in plugins)
        names = ", ".join(f'"{name}"' for name in plugins if not name.endswith("_simulator"))

        def write() -> Assembly:
            file.write_text(_FILE.format(plugins=tables, names=names, **urls))
            return Assembly.of(load(file))

        assembly = write()
        if databases is None:
            scripts = []
            for plugin, migrations in next(iter(assembly.databases().values())).items():
                scripts += [f'CREATE SCHEMA "{plugin}"', *(migration.script for migration in migrations)]
            urls["main"] = await servers.create_database(scripts)
            assembly = write()
            for name in ("lasting", "cache"):  # before it is opened: it would take over the clock of an earlier test
                async with connect(urls[name]) as client:
                    await client.flushdb()
        async with open_process(assembly, urls.__getitem__, SECRET, runner=runner) as process:
            made = Marketplace(process, file, urls)
            async with contextlib.AsyncExitStack() as stack:
                if http:
                    made.url = await stack.enter_async_context(serving(application(process)))
                if worker:
                    made.start_worker()
                stack.push_async_callback(made.stop_worker)
                yield made
