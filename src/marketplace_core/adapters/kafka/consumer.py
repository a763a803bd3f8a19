"""A group's share of the bus on Kafka: the group's own assignment, one reader, and one task for each partition number.

Kafka gives partitions anew to all members whenever one comes or goes. What is being delivered then is finished first, if that
does not take too long, and acknowledged. A member that was stopped past its session finds that out by an acknowledgement that
is refused, before it delivers anything of what it had read: it says again what it has done, which costs a round trip after
a pause and nothing while messages flow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, UnknownMemberIdError
from aiokafka.structs import OffsetAndMetadata

from marketplace_core._runtime import failpoints
from marketplace_core.adapters._serving import ServingConsumer, Step
from marketplace_core.adapters.kafka.client import AWAY, Cluster, ended
from marketplace_core.adapters.kafka.messages import Entry, Held, topic_name

__all__ = ["KafkaConsumer"]

#: How long to wait for more: while some partition is full, it may soon have room again.
READ_MS = 60_000
BUSY_READ_MS = 20


class KafkaConsumer(ServingConsumer[Held]):
    away = AWAY

    def __init__(self, cluster: Cluster, prefix: str, group: str, topics: Sequence[str]) -> None:
        super().__init__(group)
        self._cluster, self._prefix = cluster, prefix
        self._topics = {topic_name(prefix, topic): topic for topic in topics}
        self._session = cluster.settings.session
        self._valid_until = 0.0
        #: What was found to be another's. What is still read of it is dropped until all is given out anew: it comes after
        #: what was read and not delivered.
        self._lost: set[int] = set()
        self._consumer: AIOKafkaConsumer | None = None

    async def _consume(self, step: Step[Held]) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._as_member(tasks, step)
                except AWAY as error:
                    await self._wait(error)

    async def _as_member(self, tasks: asyncio.TaskGroup, step: Step[Held]) -> None:
        """Until the cluster is away for so long that the client gives up."""
        session = round(self._session * 1000)
        consumer = self._consumer = self._cluster.consumer(
            group_id=topic_name(self._prefix, self._group),
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 3,
            rebalance_timeout_ms=session,
            # Equal numbers of all topics go to one member, as long as it is one of equal members.
            partition_assignment_strategy=(RangePartitionAssignor,),
        )
        try:
            await consumer.start()
            _fence(consumer)
            consumer.subscribe(list(self._topics), listener=_Listener(self, tasks, step))
            while True:
                await self._read(consumer, tasks, step)
        finally:
            await self.give_up()
            await ended(consumer)

    # ── what is held ─────────────────────────────────────────────────────────────────────────────────────────

    def take(self, numbers: Iterable[int], tasks: asyncio.TaskGroup, step: Step[Held]) -> None:
        for number in set(numbers) - self._held.keys() - self._lost:
            partition = self._held[number] = Held(number)
            partition.task = tasks.create_task(self._serve(partition, step))

    def joined(self) -> None:
        self._lost.clear()
        self._valid_until = asyncio.get_running_loop().time() + self._session

    async def give_up(self) -> None:
        """What is being delivered may end first; others wait for it no longer than half a session."""
        held = list(self._held.values())
        for partition in held:
            partition.leave()
        running = {partition.task for partition in held if partition.task is not None}
        if running:
            _, late = await asyncio.wait(running, timeout=self._session / 2)
            for task in late:
                task.cancel()
            await asyncio.wait(running)
        for partition in held:  # a task that was cancelled before it began did not come to that
            if self._held.get(partition.number) is partition:
                del self._held[partition.number]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, consumer: AIOKafkaConsumer, tasks: asyncio.TaskGroup, step: Step[Held]) -> None:
        """What has come, of all partitions that have room: a slow one does not stop the others."""
        full = {number for number, partition in self._held.items() if len(partition.waiting) >= self._ahead}
        room = [at for at in consumer.assignment() if at.partition not in full] if full else []
        if full and not room:
            await asyncio.sleep(BUSY_READ_MS / 1000)
            return
        found = await consumer.getmany(*room, timeout_ms=BUSY_READ_MS if full else READ_MS)
        failpoints.hit("consumer.read")
        now = asyncio.get_running_loop().time()
        self.take((at.partition for at in found), tasks, step)
        for at, records in found.items():
            if (partition := self._held.get(at.partition)) is None:
                continue
            partition.waiting.extend(Entry(at, record.offset, self._topics[at.topic], now, record) for record in records)
            partition.stirred.set()

    # ── acknowledging ────────────────────────────────────────────────────────────────────────────────────────

    async def _until_valid(self, partition: Held) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() >= self._valid_until:
            first = partition.waiting[0]
            try:
                if not await self._commit({first.stream: first.id}):
                    self._lost.add(partition.number)
                    raise asyncio.CancelledError
            except AWAY as error:
                await self._wait(error)

    async def _acknowledge(self, partition: Held, done: dict[TopicPartition, int]) -> bool:
        if not done:
            return True
        failpoints.hit("consumer.before_ack")
        waiting = {entry.stream for entry in partition.waiting}
        offsets = {at: last + 1 if at in waiting else await self._next(at, last) for at, last in done.items()}
        kept = await self._commit(offsets)
        if kept:
            done.clear()
        else:
            self._lost.add(partition.number)
        return kept

    async def _next(self, at: TopicPartition, last: int) -> int:
        """Where reading goes on after ``last``: behind the marks of transactions, too, if nothing is in between."""
        consumer = self._consumer
        if consumer is None or at not in consumer.assignment():
            return last + 1
        position: int = await consumer.position(at)
        return max(last + 1, position)

    async def _commit(self, offsets: dict[TopicPartition, int]) -> bool:
        """Whether the group knows us as their holder still."""
        began = asyncio.get_running_loop().time()
        if self._consumer is None:
            return False
        try:
            await self._consumer.commit({at: OffsetAndMetadata(offset, "") for at, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            return False
        self._valid_until = began + self._session
        return True

    async def _part(self, partition: Held, done: dict[TopicPartition, int]) -> None:
        if partition.number not in self._lost:
            await self._acknowledge(partition, done)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # it has no types
    def __init__(self, consumer: KafkaConsumer, tasks: asyncio.TaskGroup, step: Step[Held]) -> None:
        self._consumer, self._tasks, self._step = consumer, tasks, step

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        with contextlib.suppress(Exception):  # whoever fails there ends the whole
            await self._consumer.give_up()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.joined()
        self._consumer.take((at.partition for at in assigned), self._tasks, self._step)


def _fence(consumer: AIOKafkaConsumer) -> None:
    """Nothing is acknowledged but by a member, of what it has been given.

    A client whose session is over forgets that it was a member, and what it acknowledges until it is one again counts as from
    outside of the group: if nobody else is in it, that is taken, and moves the group back.
    """
    coordinator: Any = consumer._coordinator
    commit = coordinator._do_commit_offsets

    async def fenced(assignment: Any, offsets: Any) -> None:
        if coordinator.generation < 0 or not assignment.active:
            raise UnknownMemberIdError(coordinator.group_id)
        await commit(assignment, offsets)

    coordinator._do_commit_offsets = fenced
