"""A request's body on its way: how much of it is kept, and what becomes of the rest when it is answered first.

A connection on which a body is still coming is of no use for the next request. The server closes it, and does not say so once
somebody has begun to read: who sends on it next would lose that request, and who is still sending the answer to this one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from marketplace_core.http.replies import Send

__all__ = ["Body", "Receive", "has_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

#: How long an answer waits for the rest of a body: while nothing comes, and at most.
PATIENCE, LONGEST = 0.5, 10.0
#: A body has to come as fast, in bytes a second, for it to be waited for.
PACE = 64 * 1024
#: How far what has come may be ahead of a reader that keeps pace: what is behind waits in the connection and not in memory.
AHEAD = 256 * 1024

_CLOSE = (b"connection", b"close")


def has_body(scope: MutableMapping[str, Any], headers: MutableMapping[bytes, bytes]) -> bool:
    """HTTP/2 has bodies that no header tells of."""
    told = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    return told or not scope["http_version"].startswith("1.")


class Body:
    """Stands between the server and an application: ``receive`` and ``send`` are the server's.

    ``small`` bytes are kept of any body, and of one that is longer ``limit()``: a buffer behind stores all that comes. What
    is beyond is passed on as nothing, after the chunk by which a reader sees that it is too much.
    """

    def __init__(self, receive: Receive, send: Send, small: int, limit: Callable[[], int]) -> None:
        self._receive, self._send = receive, send
        self._limit = small
        self._real_limit: Callable[[], int] | None = limit
        self._size = 0
        self._last = 0.0
        self._now = asyncio.get_running_loop().time
        self._arrived = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._is_read = False
        self._taken: int | None = None  # by a reader that keeps pace
        self._moved = asyncio.Event()

    def pace(self) -> None:
        """The reader says by :meth:`take` how far it is: no more comes in before that."""
        self._taken = 0

    def take(self, size: int) -> None:
        if self._taken is not None:
            self._taken += size
            self._moved.set()

    def _let_come(self) -> None:
        self._taken = None
        self._moved.set()

    async def receive(self) -> Message:
        self._is_read = True
        while self._taken is not None and self._size - self._taken > AHEAD:
            self._moved.clear()
            await self._moved.wait()
        message = await self._receive()
        if message["type"] != "http.request":
            self._arrived.set()
            return message
        if body := message.get("body"):
            if self._is_beyond():
                message["body"] = b""
            self._size += len(body)
            self._last = self._now()
        if not message.get("more_body"):
            self._arrived.set()
        return message

    def _is_beyond(self) -> bool:
        if self._size > self._limit and self._real_limit is not None:
            self._limit, self._real_limit = self._real_limit(), None
        return self._size > self._limit

    async def send(self, message: Message) -> None:
        self._let_come()
        if message["type"] == "http.response.start" and not self._arrived.is_set() and not await self._arrives():
            message["headers"] = [*message["headers"], _CLOSE]
        await self._send(message)

    async def _arrives(self) -> bool:
        """Whether the rest is here before long."""
        if not self._is_read:
            self._reader = asyncio.create_task(self._read())
        begun = self._last = self._now()
        before = self._size
        while not self._arrived.is_set():
            earned = min(PATIENCE + (self._size - before) / PACE, LONGEST)
            until = min(begun + earned, self._last + PATIENCE)
            if self._now() >= until:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()
        return True

    async def _read(self) -> None:
        """Where nobody else does."""
        while not self._arrived.is_set():
            await self.receive()

    def close(self) -> None:
        """The exchange is over. The server is let go of: while anything holds it, it does not close the connection."""
        if self._reader is not None:
            self._reader.cancel()
        del self._receive, self._send
