"""Applies events in a process of its own, or takes them off a stream without anything around it.

As a program: a database, a Redis, and ``ours`` or ``floor``; prints a line when it reads, and at SIGTERM writes to the file
that is named last when it had applied each.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop
from events_writer import GROUP, STREAM, Happened

from marketplace_core._runtime.serve import _terminated
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.server import connect
from marketplace_core.outbox import Deliverer, Subscription
from marketplace_core.ports import UnitOfWork, Units, handler
from marketplace_core.values import SystemClock


class Reader:
    def __init__(self, units: Units) -> None:
        self.units = units
        self.applied: dict[str, float] = {}

    @handler(Happened)
    async def on_happened(self, uow: UnitOfWork, event: Happened) -> None:
        """Nothing but what applying once costs."""


async def ours(dsn: str, url: str, applied: dict[str, float]) -> None:
    database = Database(dsn, size=8)
    reader = Reader(PostgresUnits(database, SystemClock(), "bench"))

    async def apply(envelope: object) -> bool:
        done = await reader.on_happened(envelope)  # type: ignore[arg-type]
        applied[envelope.key] = time.time()  # type: ignore[attr-defined]
        return done

    subscription = Subscription("bench.on_happened", (Happened.type,), apply)
    bus = RedisBus(connect(url), groups={GROUP: [Happened.topic]})
    deliverer = Deliverer(GROUP, [subscription], PostgresParking(database), bus.read)
    print("reading", flush=True)
    await bus.consume(GROUP, [Happened.topic]).run(deliverer.deliver)


async def floor(url: str, applied: dict[str, float]) -> None:
    client = connect(url)
    await client.delete(STREAM)
    await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    print("reading", flush=True)
    while True:
        for _, entries in await client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=100, block=1000) or ():
            now = time.time()
            for _id, fields in entries:
                applied[fields[b"k"].decode()] = now


async def main(dsn: str, url: str, kind: str, file: Path) -> None:
    applied: dict[str, float] = {}
    reading = asyncio.create_task(ours(dsn, url, applied) if kind == "ours" else floor(url, applied))
    await _terminated()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    file.write_text(json.dumps(applied))  # noqa: ASYNC240 - nothing else runs any more


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
