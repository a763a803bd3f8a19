"""A reader that keeps pace has no more in memory than it asked for; and whoever is answered before that is not held up."""

from __future__ import annotations

import asyncio
from typing import Any

from marketplace_core.http._bodies import AHEAD, Body

CHUNK = 64 * 1024
CHUNKS = 64


class Wire:
    """A client that sends as fast as it is let, and its server."""

    def __init__(self) -> None:
        self.given = 0
        self.body = Body(self.receive, self.send, CHUNK, lambda: CHUNK * CHUNKS)

    async def receive(self) -> Any:
        await asyncio.sleep(0)
        self.given += 1
        return {"type": "http.request", "body": b" " * CHUNK, "more_body": self.given < CHUNKS}

    async def send(self, message: Any) -> None:
        pass

    async def feed(self) -> None:
        """As an application does: whatever comes, at once."""
        while (await self.body.receive())["more_body"]:
            pass


async def settled(wire: Wire) -> int:
    before = -1
    while wire.given != before:
        before = wire.given
        await asyncio.sleep(0.02)
    return wire.given


async def test_no_more_comes_in_than_is_read() -> None:
    wire = Wire()
    wire.body.pace()
    feeding = asyncio.create_task(wire.feed())
    most = AHEAD // CHUNK + 1
    assert await settled(wire) == most
    wire.body.take(2 * CHUNK)
    assert await settled(wire) == most + 2
    wire.body.take(CHUNK * CHUNKS)
    await asyncio.wait_for(feeding, 1)


async def test_an_answer_lets_the_rest_come() -> None:
    wire = Wire()
    wire.body.pace()
    feeding = asyncio.create_task(wire.feed())
    await settled(wire)
    await wire.body.send({"type": "http.response.start", "status": 413, "headers": []})
    await asyncio.wait_for(feeding, 1)


async def test_who_does_not_keep_pace_is_given_all_of_it() -> None:
    wire = Wire()
    await asyncio.wait_for(wire.feed(), 1)
