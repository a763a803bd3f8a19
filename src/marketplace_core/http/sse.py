"""Server-sent events: an iterator of events as the bytes of a ``text/event-stream``."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
import structlog

from marketplace_core.errors import MarketplaceError

__all__ = ["EventStream", "Streams"]

log = structlog.get_logger("marketplace.http")

Item = tuple[str, str | None, Any] | None

PING = b": ping\n\n"
RETRY = b"retry: 2000\n\n"
FIRST_SECONDS = 1.0
#: Of one account, and of one address that nobody is known at, in one process.
MOST_STREAMS = 10


class EventStream(AsyncIterator[bytes]):
    """Reads the events in one task of its own, which has the call's context and ends when nobody listens any more."""

    def __init__(self, events: AsyncIterator[Item], ping_seconds: float, request_id: str) -> None:
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(1)
        self._ping_seconds = ping_seconds
        self._request_id = request_id
        self._head: list[bytes | None] = [RETRY]
        self._ended = False
        self._still: Callable[[], Awaitable[None]] | None = None
        self._pump = asyncio.create_task(self._read(events))

    def ask_again(self, still: Callable[[], Awaitable[None]]) -> None:
        """Before anything more is sent: where it raises a :class:`MarketplaceError`, the stream ends."""
        self._still = still

    async def begin(self) -> None:
        """Wait a moment for the first event, so that a refusal can still be an answer: it is raised here."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                first = await self._queue.get()
            if isinstance(first, Exception):
                raise first
            self._head.append(first)

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        if self._head:
            chunk = self._head.pop(0)
        else:
            chunk = await self._next()
            if chunk is not None and not await self._may_go_on():
                chunk = None
        if chunk is None:
            self._ended = True
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(self._ping_seconds):
                chunk = await self._queue.get()
        except TimeoutError:
            return PING
        if isinstance(chunk, Exception):
            log.error("event stream failed", request_id=self._request_id, exc_info=chunk)
            return None  # the client comes again with Last-Event-ID
        return chunk

    async def _may_go_on(self) -> bool:
        try:
            if self._still is not None:
                await self._still()
        except MarketplaceError as error:
            log.info("event stream ended", request_id=self._request_id, code=error.code)
            return False
        return True

    def end(self) -> None:
        """End at the next event boundary: the process is about to stop."""
        self._ended = True
        self._pump.cancel()
        if self._queue.empty():
            self._queue.put_nowait(None)

    async def aclose(self) -> None:
        """Let go of the events, wherever they are. May be called again."""
        self._ended = True
        self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump

    async def _read(self, events: AsyncIterator[Item]) -> None:
        end: Exception | None = None
        try:
            async for event in events:
                await self._queue.put(_encode(event))
        except Exception as error:
            end = error
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        await self._queue.put(end)


def _encode(item: Item) -> bytes:
    if item is None:
        return PING
    event, number, data = item
    head = f"id: {number}\nevent: {event}\n" if number is not None else f"event: {event}\n"
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


class Streams:
    """Those that an application has open, for it to end; by whom they are for, who has so many at once and no more."""

    def __init__(self) -> None:
        self._open: dict[EventStream, str | None] = {}
        self._counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[EventStream]:
        return iter(list(self._open))

    def check(self, subject: str | None) -> None:
        """:raises MarketplaceError: 429, ``subject`` has enough of them. None: nobody is counted."""
        if subject is not None and self._counts[subject] >= MOST_STREAMS:
            detail = f"At most {MOST_STREAMS} event streams are open at once; close one first."
            raise MarketplaceError("http.rate_limited", detail, retry_after=5)

    def add(self, stream: EventStream, subject: str | None) -> None:
        self._open[stream] = subject
        if subject is not None:
            self._counts[subject] += 1

    def discard(self, stream: EventStream) -> None:
        subject = self._open.pop(stream, None)
        if subject is not None:
            self._counts[subject] -= 1
            if not self._counts[subject]:
                del self._counts[subject]
