"""Emits events at a steady rate, each in a unit of work of its own, with the relay beside it; or writes them to a stream.

As a program: a database, a Redis, ``ours`` or ``floor``, events per second, seconds; prints as JSON when each was committed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

from marketplace_core.adapters.arq import ArqQueue
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.server import connect
from marketplace_core.events import Event, event
from marketplace_core.outbox import Relay
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import SystemClock, new_id

GROUP, STREAM = "bench", "bench-floor"
#: As long as an order's event is.
NOTE = "n" * 600


@event("bench.happened", key="id")
class Happened(Event, frozen=True, kw_only=True):
    id: str
    note: str


async def steadily(act: Callable[[str], Awaitable[None]], rate: float, seconds: float) -> dict[str, float]:
    """Start one act after the other, whether those before have ended or not. When each had ended, by its id."""
    ended: dict[str, float] = {}

    async def one(id_: str) -> None:
        await act(id_)
        ended[id_] = time.time()

    began, running = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        running.append(asyncio.create_task(one(new_id())))
    await asyncio.gather(*running)
    return ended


async def ours(dsn: str, url: str, rate: float, seconds: float) -> dict[str, float]:
    database = Database(dsn, size=8)
    units = PostgresUnits(database, SystemClock(), "bench")
    bus = RedisBus(connect(url), groups={GROUP: [Happened.topic]})
    relay = Relay("bench", PostgresOutbox(database), bus, ArqQueue(url, "bench"), frozenset({Happened.topic}))
    relaying = asyncio.create_task(relay.run())

    async def act(id_: str) -> None:
        async def work(uow: UnitOfWork) -> None:
            uow.emit(Happened(id=id_, note=NOTE))

        await units.run(work)

    await steadily(act, rate, 1.0)  # warm
    ended = await steadily(act, rate, seconds)
    await asyncio.sleep(2.0)
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
    await database.close()
    return ended


async def floor(url: str, rate: float, seconds: float) -> dict[str, float]:
    client = connect(url)

    async def act(id_: str) -> None:
        await client.xadd(STREAM, {"t": Happened.type, "k": id_, "s": 1, "e": NOTE})

    await steadily(act, rate, 1.0)
    ended = await steadily(act, rate, seconds)
    await asyncio.sleep(0.5)
    return ended


async def main(dsn: str, url: str, kind: str, rate: float, seconds: float) -> None:
    ended = await (ours(dsn, url, rate, seconds) if kind == "ours" else floor(url, rate, seconds))
    print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5])))
