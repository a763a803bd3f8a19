"""A server whose program was installed into the cache: a child of ours like the others, on a port of this machine.

What an adapter's ``native`` module says of its own is short; see :mod:`marketplace_core.adapters.kafka.native`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from marketplace_core._supervisor.children import spawn
from marketplace_core._supervisor.ports import free_port
from marketplace_core.adapters.native import leftovers, startup
from marketplace_core.adapters.native.folder import own_folder
from marketplace_core.adapters.native.programs import Program
from marketplace_core.adapters.native.server import EmbeddedServer

__all__ = ["HOST", "InstalledServer"]

HOST = "127.0.0.1"
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


class InstalledServer(EmbeddedServer):
    """``start`` installs the program first, where it is not there: see :class:`~.programs.Program` for what that may raise.

    Its files are in ``<data>/<name>``, its log is ``<data>/logs/<name>.log``. Its port is chosen at the first start, and kept
    in the data folder: clients in other processes, and those who were there before a crash, find it at the same one.
    """

    #: What is installed, what the server is called where there is one of it, and how ``ps`` names the process that runs.
    program: ClassVar[Program]
    name: ClassVar[str]
    _process: ClassVar[str]
    _end = signal.SIGTERM

    def __init__(self, data: Path, name: str | None = None) -> None:
        super().__init__(data, name or self.name)

    @property
    def port(self) -> int:
        """:raises FileNotFoundError: it has not been started yet."""
        return int(self._kept.read_text())

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def _kept(self) -> Path:
        return self._data / f"{self._name}.port"

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """What runs it. What it reads may be written into its files now."""

    def _environment(self) -> Mapping[str, str]:
        """What it is told beside a bare environment."""
        return {}

    @abstractmethod
    async def _ready(self) -> bool:
        """Whether it does its work."""

    async def _start(self, patience: float) -> None:
        await asyncio.to_thread(self.program.install)
        await leftovers.end((self._process,), self._files)
        own_folder(self._files, None)
        self._choose_port()
        offset = startup.size(self._log)
        env = {**_ENVIRONMENT, **self._environment()}
        command = await asyncio.to_thread(self._command)
        self._child = await spawn(self._name, command, env=env, log=self._log, cwd=self._files)
        await startup.until_ready(self._child, self._ready, log=self._log, offset=offset, patience=patience)

    def _choose_port(self) -> None:
        kept = self.port if self._kept.exists() else None
        fresh = self._kept.with_suffix(".new")
        fresh.write_text(str(free_port(kept, HOST)))
        fresh.replace(self._kept)

    async def stop(self, grace: float = 10.0) -> None:
        if self._child is None:
            return
        await self._child.stop(self._end, grace)
        self._release()


async def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
