"""A consumer in a process of its own: prints what it is delivered."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from marketplace_core.ports import Bus, Consumer, Delivery
from marketplace_core.testing.contracts.bus import GROUPS, LEASE, ConsumerProcess


class RedisProcess(ConsumerProcess):
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.seen: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.seen.append(line.decode().strip())

    def stop(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading


def start(how: str, kind: str, url: str, group: str, topics: Sequence[str]) -> AbstractAsyncContextManager[RedisProcess]:
    """``how``: by ``messages`` or ``batches``. ``kind``: ``RedisBus``, ``KafkaBus:<prefix>``, or a class of
    ``wrong_bus``."""
    return run(__file__, how, kind, url, group, *topics)


@contextlib.asynccontextmanager
async def run(program: str, *arguments: str) -> AsyncIterator[RedisProcess]:
    process = RedisProcess(
        await asyncio.create_subprocess_exec(sys.executable, program, *arguments, stdout=asyncio.subprocess.PIPE)
    )
    try:
        yield process
    finally:
        await process.kill()


async def main(how: str, kind: str, url: str, group: str, *topics: str) -> None:
    kind, _, prefix = kind.partition(":")
    opened = _kafka(url, prefix) if kind == "KafkaBus" else _redis(url, kind)
    async with opened as bus:
        await _read(how, bus.consume(group, topics))


# A driver that is not needed is not loaded: who waits for this program waits for that.


@contextlib.asynccontextmanager
async def _kafka(url: str, prefix: str) -> AsyncIterator[Bus]:
    from marketplace_core.adapters.kafka.bus import KafkaBus  # noqa: PLC0415
    from marketplace_core.adapters.kafka.client import Cluster  # noqa: PLC0415
    from marketplace_core.adapters.kafka.kind import KafkaSettings  # noqa: PLC0415

    yield KafkaBus(Cluster(url, KafkaSettings(partitions=4, session=LEASE)), prefix)


@contextlib.asynccontextmanager
async def _redis(url: str, kind: str) -> AsyncIterator[Bus]:
    from marketplace_core.adapters.redis.bus import RedisBus  # noqa: PLC0415
    from marketplace_core.adapters.redis.server import connect  # noqa: PLC0415

    # The wrong ones lie beside this program.
    bus: type[RedisBus] = RedisBus if kind == "RedisBus" else getattr(importlib.import_module("wrong_bus"), kind)
    async with connect(url) as redis:
        yield bus(redis, groups=GROUPS, lease=LEASE)


async def _read(how: str, consumer: Consumer) -> None:
    async def deliver(delivery: Delivery) -> None:
        print(f"{delivery.message.key}/{delivery.message.sequence}", flush=True)

    async def deliver_batch(batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            print(f"+{delivery.message.key}/{delivery.message.sequence}", flush=True)
        await asyncio.sleep(0.02)
        for delivery in batch:
            await deliver(delivery)

    if how == "messages":
        await consumer.run(deliver)
    await consumer.run_batches(deliver_batch, size=5, linger=0.01)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
