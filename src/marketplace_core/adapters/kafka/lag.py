"""How many messages a group has not acknowledged. Offsets alone do not tell: marks of transactions have offsets, too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from marketplace_core.adapters.kafka.client import Cluster, Shared
from marketplace_core.adapters.kafka.messages import topic_name

__all__ = ["Lag"]

#: More than so many are not counted one by one, but as what is between two offsets.
COUNTED = 1000
#: For how long what is published is waited for to be decided: a publish returns a moment before its mark is written.
DECIDED_SECONDS = 1.0
READ_MS = 50


class Lag:
    def __init__(self, cluster: Cluster, prefix: str, admin: Shared) -> None:
        self._prefix, self._admin = prefix, admin
        self._ends = Shared(cluster, lambda: cluster.consumer(isolation_level="read_uncommitted"))
        self._reader = Shared(cluster, lambda: cluster.consumer(fetch_max_wait_ms=READ_MS))
        #: By the place of a group and the end of a partition: at rest nothing is counted again.
        self._counted: dict[TopicPartition, tuple[int, int, int]] = {}

    async def of(self, groups: Mapping[str, Sequence[str]]) -> dict[str, int]:
        topics = sorted({topic_name(self._prefix, topic) for topics in groups.values() for topic in topics})
        ends = await self._ends.ask(lambda consumer: _ends(consumer, topics))
        places = await self._admin.ask(lambda admin: _places(admin, [topic_name(self._prefix, group) for group in groups]))
        found = dict.fromkeys(groups, 0)
        for group, wanted in groups.items():
            names = {topic_name(self._prefix, topic) for topic in wanted}
            kept = places[topic_name(self._prefix, group)]
            for at, (first, end) in ends.items():
                if at.topic in names and (place := max(kept.get(at, first), first)) < end:
                    found[group] += await self._between(at, place, end)
        return found

    async def _between(self, at: TopicPartition, place: int, end: int) -> int:
        if end - place > COUNTED:
            return end - place
        known = self._counted.get(at)
        if known is not None and known[:2] == (place, end):
            return known[2]
        count, decided = await self._reader.ask(lambda consumer: _count(consumer, at, place, end))
        if decided:
            self._counted[at] = (place, end, count)
        return count

    async def close(self) -> None:
        await self._ends.close()
        await self._reader.close()


async def _ends(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> dict[TopicPartition, tuple[int, int]]:
    """The first and the next offset of each partition."""
    every = [TopicPartition(topic, number) for topic in topics for number in await _partitions(consumer, topic)]
    first, end = await asyncio.gather(consumer.beginning_offsets(every), consumer.end_offsets(every))
    return {at: (first[at], end[at]) for at in every}


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    if consumer.partitions_for_topic(topic) is None:
        await consumer._client._wait_on_metadata(topic)  # it is the only way to ask for one that is not subscribed to
    found: set[int] = consumer.partitions_for_topic(topic) or set()
    return found


async def _places(admin: Any, groups: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
    kept = await asyncio.gather(*(admin.list_consumer_group_offsets(group) for group in groups))
    return {
        group: {at: found.offset for at, found in each.items() if found.offset >= 0}
        for group, each in zip(groups, kept, strict=True)
    }


async def _count(consumer: AIOKafkaConsumer, at: TopicPartition, place: int, end: int) -> tuple[int, bool]:
    """How many there are that were committed; and whether all of them are decided. What is not counts as if it were."""
    loop = asyncio.get_running_loop()
    until = loop.time() + DECIDED_SECONDS
    consumer.assign([at])
    consumer.seek(at, place)
    count = 0
    while (reached := await consumer.position(at)) < end:
        if loop.time() > until:
            return count + end - reached, False
        found = await consumer.getmany(at, timeout_ms=READ_MS)
        count += sum(record.offset < end for record in found.get(at, ()))
    return count, True
