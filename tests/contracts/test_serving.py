"""What consumers of every bus share, at the moments that a server does not show when asked."""

from __future__ import annotations

import asyncio
from typing import Any

from marketplace_core.adapters._serving import Partition, ServingConsumer, Step


class _LeftWhileItAcknowledges(ServingConsumer[Partition[Any]]):
    away = (OSError,)
    parted = False

    async def _consume(self, step: Step[Partition[Any]]) -> None:
        await self._serve(Partition(0), step)

    async def _until_valid(self, partition: Partition[Any]) -> None:
        pass

    async def _acknowledge(self, partition: Partition[Any], done: dict[Any, Any]) -> bool:
        partition.leave()
        return True

    async def _part(self, partition: Partition[Any], done: dict[Any, Any]) -> None:
        self.parted = True


async def test_a_partition_that_is_left_while_it_is_acknowledged_ends() -> None:
    consumer = _LeftWhileItAcknowledges("one")

    async def deliver(_: Any) -> None:
        raise AssertionError("nothing waits")

    async with asyncio.timeout(1):
        await consumer.run(deliver)
    assert consumer.parted
