"""Server-sent events: an iterator of events as the bytes of a ``text/event-stream``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
import structlog

__all__ = ["EventStream"]

log = structlog.get_logger("marketplace.http")

Item = tuple[str, str | None, Any] | None

PING = b": ping\n\n"
RETRY = b"retry: 2000\n\n"
FIRST_SECONDS = 1.0


class EventStream(AsyncIterator[bytes]):
    """Reads the events in one task of its own, which has the call's context and ends when nobody listens any more."""

    def __init__(self, events: AsyncIterator[Item], ping_seconds: float, request_id: str) -> None:
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(1)
        self._ping_seconds = ping_seconds
        self._request_id = request_id
        self._head: list[bytes | None] = [RETRY]
        self._ended = False
        self._pump = asyncio.create_task(self._read(events))

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
        chunk = self._head.pop(0) if self._head else await self._next()
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
