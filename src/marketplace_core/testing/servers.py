"""One embedded PostgreSQL and two embedded Redis for a whole test run, and databases cloned from migrated templates."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from marketplace_core.adapters.dbos.connections import SCHEMA, engine_url, library
from marketplace_core.adapters.native import query
from marketplace_core.adapters.postgres.migrate import as_scripts
from marketplace_core.adapters.postgres.native import EmbeddedPostgres
from marketplace_core.adapters.postgres.schema import CORE_MIGRATIONS
from marketplace_core.adapters.redis.native import EmbeddedRedis
from marketplace_core.hookspecs import Migration

__all__ = ["Servers"]

_POSTGRES = {"full_page_writes": "off", "max_wal_size": "1GB", "autovacuum": "off", "max_connections": "200"}
_REDIS_DATABASES = 16
_PREFIX = "mp-servers-"


class Servers:
    """The servers of one pytest process. They are children of ours, on sockets in a temporary folder with a short path."""

    def __init__(self) -> None:
        # Not pytest's own folder: its path is too long for a socket, and PostgreSQL's user could not pass it.
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._folder.chmod(0o711)
        data = self._folder / "d"
        self.postgres = EmbeddedPostgres(data, durable=False, settings=_POSTGRES)
        self.lasting = EmbeddedRedis(data, "lasting", durable=False)
        self.cache = EmbeddedRedis(data, "cache", durable=False)
        self._loop = asyncio.new_event_loop()  # the servers' processes are watched from it
        self._templates: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._kept: set[int] = set()
        self._done: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopped = False
        self._dropper = threading.Thread(target=self._drop_done, name="drop-databases")

    def start(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(self.postgres.start(), self.lasting.start(), self.cache.start())

        self._dropper.start()
        self._loop.run_until_complete(all_of_them())

    def stop(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(self.postgres.stop(), self.lasting.stop(), self.cache.stop())

        self._stopped = True  # the rest goes with the folder
        self._done.put(None)
        self._dropper.join()
        self._loop.run_until_complete(all_of_them())
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def create_database(self, migrations: Sequence[str] = ()) -> str:
        """The DSN of a new database with core's tables and ``migrations``; a clone, so it takes some 30 ms."""
        return await self._clone(["CREATE SCHEMA marketplace;", *CORE_MIGRATIONS, *migrations])

    async def create_migrated(self, plugins: Mapping[str, Sequence[Migration]]) -> str:
        """Likewise, as ``marketplace migrate`` leaves it, and with the tables that the saga engine makes at its first start:
        a quarter of what opening a marketplace costs."""
        return await self._clone(as_scripts(plugins), engine="orchestrator" in plugins)

    def create_empty(self, name: str) -> None:
        """A database without anything, for who migrates it."""
        self._loop.run_until_complete(self._administer(f'CREATE DATABASE "{name}"'))

    async def _clone(self, scripts: Sequence[str], *, engine: bool = False) -> str:
        template = await self._template(scripts, engine=engine)
        name = f"t{next(self._numbers)}"
        await self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.postgres.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop it in the background."""
        self._done.put(dsn.split("?", 1)[0].rsplit("/", 1)[1])

    def redis_url(self, server: EmbeddedRedis, *, kept: bool = False) -> str:
        """One of the server's logical databases, in turn. It holds what an earlier test left; one that is ``kept``, nobody
        else is given."""
        number = next(number for each in self._numbers if (number := each % _REDIS_DATABASES) not in self._kept)
        if kept:
            self._kept.add(number)
        return server.url.replace("db=0", f"db={number}")

    async def _template(self, scripts: Sequence[str], *, engine: bool) -> str:
        digest = hashlib.blake2b("\0".join([*scripts, str(engine)]).encode(), digest_size=8).hexdigest()
        if digest not in self._templates:
            name = f"template_{digest}"
            await self._administer(f'CREATE DATABASE "{name}"')
            for script in scripts:
                await query.run(self.postgres.socket, "postgres", name, script)
            if engine:
                await asyncio.to_thread(library().DBOS.migrate, engine_url(self.postgres.dsn(name)), schema=SCHEMA)
            self._templates[digest] = name
        return self._templates[digest]

    async def _administer(self, statement: str) -> None:
        # A session that has just ended may still be listed in the template for a moment.
        for pause in (0.01, 0.05, 0.2, 1.0):
            try:
                await query.run(self.postgres.socket, "postgres", "postgres", statement)
                return
            except query.QueryError as error:
                if error.code != "55006":
                    raise
                await asyncio.sleep(pause)
        await query.run(self.postgres.socket, "postgres", "postgres", statement)

    def _drop_done(self) -> None:
        while (name := self._done.get()) is not None and not self._stopped:
            with contextlib.suppress(OSError, query.QueryError):  # the whole folder goes at the end anyway
                asyncio.run(self._administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


def _sweep() -> None:
    """Remove what killed processes left: it may stand in memory."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).split("-", 1)[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
