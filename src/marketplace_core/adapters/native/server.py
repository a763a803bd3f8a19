"""What the embedded servers have in common: a child of ours, with its files in a data folder; most on a unix socket."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from marketplace_core._supervisor.children import Child
from marketplace_core.adapters.native.errors import cannot_start
from marketplace_core.adapters.native.folder import DataFolder, socket_folder

__all__ = ["EmbeddedServer", "SocketServer"]


class EmbeddedServer(ABC):
    """Making the object touches nothing, so it also serves clients of a server that another process has started."""

    #: As people know it, and how it ends when it could not start.
    _title: ClassVar[str]
    _end: ClassVar[signal.Signals]
    #: What ends it and all its children at once.
    _kill: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, data: Path, name: str) -> None:
        self._name = name
        self._folder = DataFolder(data, name)
        self._data = self._folder.path
        self._files = self._data / name
        self._log = self._data / "logs" / f"{name}.log"
        self._child: Child | None = None

    @property
    def child(self) -> Child | None:
        """The main process since the last start, also when it has ended; None before and after a stop."""
        return self._child

    @property
    def log(self) -> Path:
        return self._log

    async def start(self, patience: float = 60.0) -> None:
        """Returns when the server has read its data and answers, at once if it does. A crashed one may be started again.

        Raises EmbeddedError, also after `patience` seconds, which only recovery after a crash or a large file can need.
        """
        if self._child is None:
            self._folder.acquire()
        elif self._child.running:
            return
        try:
            await self._start(patience)
        except BaseException as error:
            if self._child is not None:
                await self._child.stop(self._end, 5.0)
            self._release()
            if isinstance(error, OSError):
                raise cannot_start(self._title, self._data, error) from error
            raise

    @abstractmethod
    async def _start(self, patience: float) -> None:
        """Set ``_child``, and return when it answers."""

    def kill(self) -> None:
        """At once, without waiting for anything."""
        if self._child is not None:
            self._child.send(self._kill)

    @abstractmethod
    async def stop(self) -> None:
        """Returns when it has ended."""

    def _release(self) -> None:
        self._child = None
        self._folder.release()


class SocketServer(EmbeddedServer):
    """One that is to be reached by a unix socket."""

    #: The socket's file.
    _socket: ClassVar[str]

    @property
    def socket(self) -> Path:
        return socket_folder(self._data, self._name, self._socket) / self._socket
