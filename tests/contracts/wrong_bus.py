"""Redis buses with one mistake each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from marketplace_core.adapters.redis import consumer
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.consumer import RedisConsumer
from marketplace_core.adapters.redis.partitions import Entry, Names, Partition
from marketplace_core.adapters.redis.server import alone
from marketplace_core.errors import Unavailable
from marketplace_core.events import Unreadable
from marketplace_core.ports import Consumer, Deliver, DeliverBatch, Delivery, Message, PutAside
from marketplace_core.values import new_id


class _Wrong(RedisBus):
    consumer: type[RedisConsumer] = RedisConsumer
    lease_seconds: float | None = None

    def names(self, group: str, topics: Sequence[str]) -> Names:
        return Names(self._prefix, group, topics, self._partitions)

    def consume(self, group: str, topics: Sequence[str]) -> Consumer:
        own = partial(alone, self._redis)
        return self.consumer(self._redis, own, self.names(group, topics), group, self.lease_seconds or self._lease)


class CutsMessages(RedisBus):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish([replace(message, envelope=message.envelope[:5]) for message in messages])


class PublishesInAnyOrder(RedisBus):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(list(reversed(messages)))


class PublishesOneByOne(RedisBus):
    """In one pipeline, each message for itself."""

    _whole = False


class EndsAtWhatItCannotRead(_Wrong):
    """And at each start again."""

    class consumer(RedisConsumer):
        async def run(self, deliver: Deliver, put_aside: PutAside | None = None) -> None:
            await super().run(deliver)


class PassesOverWhatItCannotRead(_Wrong):
    class consumer(RedisConsumer):
        async def _pass_over(self, *_: Any) -> None:
            pass


class DeliversAtOnce(_Wrong):
    """Messages of a partition side by side."""

    class consumer(RedisConsumer):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._together: list[asyncio.Task[None]] = []

        async def _deliver(self, partition: Partition, entry: Any, deliver: Deliver) -> None:
            self._together.append(asyncio.create_task(super()._deliver(partition, entry, deliver)))
            await asyncio.sleep(0)


class SharesOneCursor(_Wrong):
    """All groups are one."""

    def names(self, group: str, topics: Sequence[str]) -> Names:
        return super().names("all", topics)


class BeginsAtTheEnd(_Wrong):
    """Who comes late has missed it."""

    class consumer(RedisConsumer):
        async def _renew(self, *args: Any) -> None:
            for number in range(len(self._names.leases)):
                for stream in self._names.streams(number):
                    with contextlib.suppress(Exception):
                        last = (await self._redis.xinfo_stream(stream))["last-generated-id"]
                        await self._redis.hsetnx(self._names.cursors, stream, last)  # type: ignore[misc]
            await super()._renew(*args)


class HoldsTwice(_Wrong):
    """Each consumer has leases of its own."""

    def names(self, group: str, topics: Sequence[str]) -> Names:
        names = super().names(group, topics)
        names.leases = [f"{lease}:{new_id()}" for lease in names.leases]
        names.members += new_id()
        return names


class NeverTakesOver(_Wrong):
    """A lease outlives its holder by far: whoever waits for it waits."""

    class consumer(RedisConsumer):
        async def _renew(self, *args: Any) -> None:
            if self._taken == 0:
                await super()._renew(*args)
            else:
                for partition in self._held.values():
                    await self._redis.pexpire(self._names.leases[partition.number], 10_000)


class ForgetsFailures(_Wrong):
    """What failed is acknowledged with the rest."""

    class consumer(RedisConsumer):
        async def _deliver(self, partition: Partition, entry: Any, deliver: Deliver) -> None:
            failed: list[Exception] = []

            async def once(delivery: Delivery) -> None:
                try:
                    await deliver(delivery)
                except Exception as error:
                    failed.append(error)

            await super()._deliver(partition, entry, once)
            if failed and not isinstance(failed[0], Unavailable):
                await self._acknowledge(partition, {entry.stream: entry.id})
                partition.lost = True
                raise failed[0]


class AcknowledgesBeforehand(_Wrong):
    class consumer(RedisConsumer):
        async def _deliver(self, partition: Partition, entry: Any, deliver: Deliver) -> None:
            await self._acknowledge(partition, {entry.stream: entry.id})
            await super()._deliver(partition, entry, deliver)


class OneAfterTheOther(_Wrong):
    """A partition waits for every other one."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        turn = asyncio.Lock()

        class InTurn(RedisConsumer):
            async def _surely(self, act: Callable[[], Awaitable[None]]) -> None:
                async with turn:
                    await super()._surely(act)

        self.consumer = InTurn


class TrimsByLength(RedisBus):
    async def trim(self) -> None:
        for stream in self._streams(["shop"], range(self._partitions)):
            await self._redis.xtrim(stream, maxlen=10)


class CountsWhatIsRead(RedisBus):
    """Lag that only knows what nobody has read."""

    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        members = await self._redis.keys(f"{self._prefix}:members:*")
        return 0 if members else await super().lag(groups)


class KeepsItsLeases(_Wrong):
    """Leaves without giving up what it holds."""

    class consumer(RedisConsumer):
        async def _part(self, partition: Partition, done: dict[str, str]) -> None:
            await self._acknowledge(partition, done)


class GivesUpAtOnce(_Wrong):
    """What is away is not waited for: the message is dropped."""

    class consumer(RedisConsumer):
        async def _deliver(self, partition: Partition, entry: Any, deliver: Deliver) -> None:
            async def once(delivery: Delivery) -> None:
                with contextlib.suppress(Unavailable):
                    await deliver(delivery)

            await super()._deliver(partition, entry, once)


class TrustsItsLease(_Wrong):
    """Goes on with what it had read, however long it was stopped, and moves the cursor whoever has the lease."""

    class consumer(RedisConsumer):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._ack = self._redis.register_script(consumer._ACK.replace("then return 0 end", "then end"))

        async def _until_valid(self, *_: Any) -> None:
            pass


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────


class TurnsBatchesRound(_Wrong):
    class consumer(RedisConsumer):
        async def _deliver_batch(self, partition: Partition, entries: Sequence[Entry], deliver: DeliverBatch) -> int:
            async def turned(batch: Sequence[Delivery]) -> None:
                await deliver(batch[::-1])

            return await super()._deliver_batch(partition, entries, turned)


class KnowsNoSize(_Wrong):
    class consumer(RedisConsumer):
        async def _deliver_batch(self, partition: Partition, entries: Sequence[Entry], deliver: DeliverBatch) -> int:
            return await super()._deliver_batch(partition, list(partition.waiting), deliver)


class TakesOneByOne(_Wrong):
    class consumer(RedisConsumer):
        async def _gather(self, *_: Any) -> None:
            pass

        async def _deliver_batch(self, partition: Partition, entries: Sequence[Entry], deliver: DeliverBatch) -> int:
            return await super()._deliver_batch(partition, entries[:1], deliver)


class WaitsUntilItIsFull(_Wrong):
    class consumer(RedisConsumer):
        async def _gather(self, partition: Partition, size: int, linger: float) -> None:
            await super()._gather(partition, size, 1000 * linger)


class AcknowledgesWhatItRead(_Wrong):
    """With a batch all that waits behind it."""

    class consumer(RedisConsumer):
        async def _acknowledge(self, partition: Partition, done: dict[str, str]) -> bool:
            if done:
                done.update({entry.stream: entry.id for entry in partition.waiting})
            return await super()._acknowledge(partition, done)


class AcknowledgesBatchesBeforehand(_Wrong):
    class consumer(RedisConsumer):
        async def _deliver_batch(self, partition: Partition, entries: Sequence[Entry], deliver: DeliverBatch) -> int:
            await self._acknowledge(partition, {entry.stream: entry.id for entry in entries})
            return await super()._deliver_batch(partition, entries, deliver)


class DropsTheBatch(_Wrong):
    """Of who is away."""

    class consumer(RedisConsumer):
        async def _surely(self, act: Callable[[], Awaitable[None]]) -> None:
            with contextlib.suppress(Unavailable):
                await act()


class PutsAsideTooEarly(_Wrong):
    """Before what comes before it."""

    class consumer(RedisConsumer):
        async def _deliver_batch(self, partition: Partition, entries: Sequence[Entry], deliver: DeliverBatch) -> int:
            for entry in entries:
                if b"e" not in entry.fields:
                    await self._pass_over(partition, entry, Unreadable("it has no envelope"))
            return await super()._deliver_batch(partition, entries, deliver)
