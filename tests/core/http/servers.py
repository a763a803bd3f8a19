"""Servers of other people, on this machine: some answer, and some mean ill."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(raw: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return behave


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def endless(head: bytes, part: bytes, pause: float = 0) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


class Server:
    """``seen`` are the heads of the requests that came; ``bodies`` what came with them, where it reads that."""

    def __init__(self, behave: Behaviour, *, reads_body: bool = False) -> None:
        self.behave = behave
        self.seen: list[bytes] = []
        self.bodies: list[bytes] = []
        self._reads_body = reads_body
        self.port = 0
        self.ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                if self._reads_body and (length := re.search(rb"content-length: (\d+)", head, re.I)):
                    self.bodies.append(await reader.readexactly(int(length[1])))
                self.seen.append(head)
                await self.behave(reader, writer)
        finally:
            writer.close()
            self.ended.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Start = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            behave: Behaviour | None = None, host: str = "127.0.0.1", port: int = 0, *, reads_body: bool = False
        ) -> Server:
            server = Server(behave or answering(OK), reads_body=reads_body)
            listening = await asyncio.start_server(server.accept, host, port)
            stack.push_async_callback(server.close)
            stack.callback(listening.close)
            server.port = listening.sockets[0].getsockname()[1]
            return server

        yield make
