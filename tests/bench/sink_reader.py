"""The plugin's sink in a process of its own, as a worker reads it. As a program: a Redis, the prefix of the bus, the folder of
chdb; prints a line once it has opened the store, and the events that it has taken after each batch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog
import uvloop
from marketplace_analytics.config import AnalyticsConfig
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.stores.clickhouse import ClickHouseStore
from marketplace_analytics.worker import SINKS
from sink_events import TOPICS

from marketplace_core._runtime.sinks import SinkDeliverer
from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.server import connect
from marketplace_core.capabilities import load_all
from marketplace_core.events import Envelope
from marketplace_core.values import SystemClock

__all__ = ["GROUP"]

[SINK] = SINKS
GROUP = f"{SINK.name}.sink"


async def main(url: str, prefix: str, folder: str) -> None:
    load_all()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # what is printed is read
    client = ClickHouse(f"chdb://{folder}")
    await client.ready()
    service = AnalyticsService(ClickHouseStore(client), SystemClock(), b"key", "EUR", AnalyticsConfig())
    taken = 0

    async def take(envelopes: Sequence[Envelope]) -> None:
        nonlocal taken
        await SINK.method(service, envelopes)
        taken += len(envelopes)
        print(taken, flush=True)

    parking: Any = None  # all of it can be read
    async with connect(url) as redis:
        bus = RedisBus(redis, prefix=prefix, groups={GROUP: TOPICS})
        deliverer = SinkDeliverer(SINK.name, GROUP, take, parking, bus.read)
        print("reads", flush=True)
        await bus.consume(GROUP, TOPICS).run_batches(deliverer.deliver, size=SINK.size, linger=SINK.linger)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
