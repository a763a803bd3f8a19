"""A proxy that takes everything and, when it is told to, gives nothing: no time-out of TCP sees that, for it acknowledges."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Hole", "hole_before"]


class Hole:
    """``silent``: no answer passes any more; ``deaf``: nor does what is sent.

    ``after``: it is silent from the first thing on that is sent and holds these bytes.
    """

    def __init__(self, socket: str | int) -> None:
        """``socket``: of the server, or its port."""
        self.silent = self.deaf = False
        self.after: bytes | None = None
        self.port = 0
        self._socket = socket
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.tear()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def tear(self) -> None:
        """Every connection ends; new ones are as ``silent`` says."""
        for writer in list(self._open):
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await self._connect()
        self._open |= {writer, there}
        task: Any = asyncio.current_task()
        self._tasks.add(task)
        try:
            await asyncio.gather(self._pass(reader, there, asks=True), self._pass(there_reader, writer, asks=False))
        finally:
            self._open -= {writer, there}
            self._tasks.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._socket, int):
            return await asyncio.open_connection("127.0.0.1", self._socket)
        return await asyncio.open_unix_connection(self._socket)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(65536):
                if asks and self.after is not None and self.after in some:
                    self.silent = True
                if not (self.deaf if asks else self.silent):
                    writer.write(some)
        writer.close()


@contextlib.asynccontextmanager
async def hole_before(dsn: str) -> AsyncIterator[tuple[Hole, str]]:
    """A proxy before the server of ``dsn``, which listens on a socket, and the address that leads over it."""
    parts = urlsplit(dsn)
    if parts.scheme == "unix":
        hole = Hole(parts.path)
        async with hole.listening():
            yield hole, f"redis://127.0.0.1:{hole.port}/{parse_qs(parts.query).get('db', ['0'])[0]}"
    else:
        hole = Hole(f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.{parse_qs(parts.query).get('port', ['5432'])[0]}")
        async with hole.listening():
            yield hole, f"postgres://{parts.username or 'postgres'}@127.0.0.1:{hole.port}{parts.path}"
