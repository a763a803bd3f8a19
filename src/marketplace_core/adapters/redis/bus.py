"""The bus on Redis Streams.

Redis Streams keep no order per key under a consumer group with several consumers, so a partition is one stream and is
read by one consumer at a time, which holds a lease. A group's place is a cursor in a hash; it moves under the lease.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial

import msgspec
from redis.asyncio import Redis

from marketplace_core.adapters.redis.consumer import RedisConsumer
from marketplace_core.adapters.redis.partitions import Names, message_of
from marketplace_core.adapters.redis.server import alone, redis_errors
from marketplace_core.events import Unreadable
from marketplace_core.ports import Bus, Consumer, Message

__all__ = ["RedisBus"]

LEASE_SECONDS = 10.0
#: How many entries a stream has behind a position, up to 1,000; they themselves stay where they are.
_COUNT = "return #redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1000)"


def _place(position: str) -> tuple[int, int]:
    first, second = position.split("-")
    return int(first), int(second)


def _cursor(cursors: Mapping[bytes, bytes], stream: str) -> str:
    return cursors.get(stream.encode(), b"0-0").decode()


class RedisBus(Bus):
    """One stream per topic and partition: ``<prefix>:{topic}:<partition>``."""

    #: A publish is one transaction.
    _whole = True

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "bus",
        partitions: int = 4,
        groups: Mapping[str, Sequence[str]] | None = None,
        lease: float = LEASE_SECONDS,
    ) -> None:
        """``groups`` are those that the whole deployment declares, with their topics: trimming waits for each.

        A consumer that has not been heard of for ``lease`` seconds loses its partitions to the others.
        """
        self._redis = redis
        self._prefix = prefix
        self._partitions = partitions
        self._groups = dict(groups or {})
        self._lease = lease
        self._trimmed: dict[str, str] = {}

    def _stream(self, topic: str, partition: int) -> str:
        return f"{self._prefix}:{topic}:{partition}"

    def _streams(self, topics: Sequence[str], partitions: Sequence[int]) -> list[str]:
        return [self._stream(topic, partition) for topic in topics for partition in partitions]

    async def publish(self, messages: Sequence[Message]) -> None:
        """In one transaction: of a mere pipeline a server that is full for a moment takes what comes after that moment."""
        with redis_errors():
            async with self._redis.pipeline(transaction=self._whole) as pipe:
                for message in messages:
                    partition = zlib.crc32(message.key.encode()) % self._partitions
                    pipe.xadd(
                        self._stream(message.topic, partition),
                        {
                            "t": message.type,
                            "k": message.key,
                            "s": message.sequence,
                            "e": message.envelope,
                            "w": message.writer,
                        },
                    )
                await pipe.execute()

    def consume(self, group: str, topics: Sequence[str]) -> Consumer:
        names = Names(self._prefix, group, topics, self._partitions)
        return RedisConsumer(self._redis, partial(alone, self._redis), names, group, self._lease)

    def read(self, topic: str, raw: bytes) -> Message:
        try:
            fields = msgspec.msgpack.decode(raw, type=dict[bytes, bytes])
        except msgspec.DecodeError as error:
            raise Unreadable(str(error)) from error
        return message_of(topic, fields)

    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        return sum((await self.lags(groups)).values())

    async def lags(self, groups: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Entries are counted of those streams alone whose last one the group has not acknowledged: at rest there is none."""
        every = range(self._partitions)
        streams = {group: self._streams(topics, every) for group, topics in groups.items()}
        distinct = list(dict.fromkeys(stream for each in streams.values() for stream in each))
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for group in groups:
                    pipe.hgetall(f"{self._prefix}:cursor:{group}")
                for stream in distinct:
                    pipe.xrevrange(stream, count=1)
                answers = await pipe.execute()
            cursors = dict(zip(groups, answers, strict=False))
            last = {
                stream: found[0][0].decode() for stream, found in zip(distinct, answers[len(groups) :], strict=True) if found
            }
            behind = [
                (group, stream, cursor)
                for group, each in streams.items()
                for stream in each
                if stream in last and _place(cursor := _cursor(cursors[group], stream)) < _place(last[stream])
            ]
            async with self._redis.pipeline(transaction=False) as pipe:
                for _, stream, cursor in behind:
                    pipe.eval(_COUNT, 1, stream, f"({cursor}")
                counts = await pipe.execute() if behind else []
        found = dict.fromkeys(groups, 0)
        for (group, _, _), count in zip(behind, counts, strict=True):
            found[group] += count
        return found

    async def _cursors(self, group: str) -> dict[bytes, bytes]:
        cursors: Awaitable[dict[bytes, bytes]] = self._redis.hgetall(f"{self._prefix}:cursor:{group}")  # type: ignore[assignment]
        return await cursors

    async def trim(self) -> None:
        """Drop what every declared group has acknowledged; never by length."""
        cursors = {}
        with redis_errors():
            for group in self._groups:
                cursors[group] = await self._cursors(group)
            topics = sorted({topic for topics in self._groups.values() for topic in topics})
            for stream in self._streams(topics, range(self._partitions)):
                topic = stream.split(":")[-2]
                readers = [group for group, wanted in self._groups.items() if topic in wanted]
                places = [_cursor(cursors[group], stream) for group in readers]
                oldest = min(places, key=_place)
                if oldest != self._trimmed.get(stream, "0-0"):
                    await self._redis.xtrim(stream, minid=oldest, approximate=True)
                    self._trimmed[stream] = oldest
