"""The plugin's sink in a process of its own, as a worker reads it; it may be told to die in the middle of a batch.

Arguments: Redis, the folder of chdb, how many tables are written before it dies (0: it does not). Prints a line once it has
opened the store, and the events of each batch once it has taken it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from marketplace_analytics.config import AnalyticsConfig
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.stores.clickhouse import ClickHouseStore
from marketplace_analytics.worker import SINKS

from marketplace_core._runtime import sinks
from marketplace_core._runtime.sinks import SinkDeliverer
from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.server import connect
from marketplace_core.capabilities import load_all
from marketplace_core.events import Envelope
from marketplace_core.ports import Parking
from marketplace_core.values import SystemClock

__all__ = ["GROUP", "LEASE", "TOPICS"]

GROUP, TOPICS, LEASE = "analytics.events.sink", ("orders", "reviews"), 1.0


class Doomed(ClickHouse):
    """Dies where it has written so many tables: what is written then stays, and nobody was told."""

    left = 0

    async def insert(self, table: str, rows: bytes) -> None:
        await super().insert(table, rows)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, folder: str, tables: str) -> None:
    load_all()
    sinks.RETRY_PAUSES = (0.1,)
    client = Doomed(f"chdb://{folder}")
    client.left = int(tables)
    if client.left:
        await client.ready()  # before any other opens it
    service = AnalyticsService(ClickHouseStore(client), SystemClock(), b"key", "EUR", AnalyticsConfig())
    [sink] = SINKS

    async def take(envelopes: Sequence[Envelope]) -> None:
        await sink.method(service, envelopes)
        print(len(envelopes), flush=True)

    parking: Any = partial(Parking)  # nothing is put aside: whoever tries fails
    async with connect(url) as redis:
        bus = RedisBus(redis, groups={GROUP: TOPICS}, lease=LEASE)
        deliverer = SinkDeliverer(sink.name, GROUP, take, parking, bus.read)
        print("reads", flush=True)
        await bus.consume(GROUP, TOPICS).run_batches(deliverer.deliver, size=100, linger=0.05)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
