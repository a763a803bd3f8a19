"""The worker of the sink is killed in the middle of a batch, while another waits for the store: nothing is missing or twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.events import EVENTS
from marketplace_core.ports import Message
from marketplace_core.testing.contracts import eventually
from plugins.analytics.tests import sink_process
from plugins.analytics.tests.samples import envelope, value
from plugins.analytics.tests.sink_process import GROUP, LEASE, TOPICS

TYPES = ("orders.confirmed", "orders.completed", "reviews.changed")
EACH = 400


def messages(begin: int) -> list[Message]:
    """So many of each type, of as many aggregates."""
    found = []
    for type_ in TYPES:
        data = value(EVENTS[type_])
        for number in range(begin, begin + EACH):
            one = envelope(type_, {**data, EVENTS[type_].key_field: f"{type_}-{number}"})
            found.append(Message(one.topic, type_, one.key, 1, msgspec.json.encode(one).decode()))
    return found


@contextlib.asynccontextmanager
async def reading(url: str, folder: Path, tables: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that reads, and dies after it has written so many tables."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, sink_process.__file__, url, str(folder), str(tables)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"reads\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.parametrize("tables", [1, 5])
async def test_a_killed_sink_loses_nothing_and_counts_nothing_twice(
    redis_lasting: Redis, redis_lasting_url: str, tmp_path: Path, tables: int
) -> None:
    """It dies after a batch's first table, and between two later ones. To the other the store is away until then."""
    bus = RedisBus(redis_lasting, groups={GROUP: TOPICS}, lease=LEASE)
    bus.consume(GROUP, TOPICS)
    store = tmp_path / "chdb"
    async with reading(redis_lasting_url, store, tables) as doomed, reading(redis_lasting_url, store):
        await bus.publish(messages(0))
        assert await doomed.wait() == -signal.SIGKILL
        began = time.perf_counter()
        await bus.publish(messages(EACH))
        assert time.perf_counter() - began < 2  # who publishes waits for no reader

        async def all_read() -> bool:
            return await bus.lag({GROUP: TOPICS}) == 0

        await eventually(all_read, within=30)
    client = ClickHouse(f"chdb://{tmp_path / 'chdb'}")
    for type_ in TYPES:
        table, key = type_.replace(".", "_"), EVENTS[type_].key_field
        [row] = await client.query(
            f"SELECT count() AS rows, uniqExact({key}) AS keys FROM {table} SETTINGS final = 1"  # noqa: S608
        )
        assert (type_, row["rows"], row["keys"]) == (type_, 2 * EACH, 2 * EACH)
    await client.close()
