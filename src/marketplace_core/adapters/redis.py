"""Redis: connections, the bus on streams with leases, and the cache of encoded reads.

Redis Streams keep no order per key under a consumer group with several consumers, so a partition is one stream and is
read by one consumer at a time, which holds a lease. A group's place is a cursor in a hash; it moves under the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from marketplace_core import _failpoints
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Bus, Consumer, Delivery, Message
from marketplace_core.values import new_id

__all__ = ["RedisBus", "connect", "redis_errors"]

log = structlog.get_logger("marketplace.redis")

LEASE_SECONDS = 10
RENEW_SECONDS = 3
READ_COUNT = 100


def connect(url: str, *, size: int = 32) -> Redis:
    """A client with its pool. ``unix:///path.sock?db=0`` and ``redis://host/0`` are both understood."""
    client: Redis = Redis.from_url(
        url, max_connections=size, socket_connect_timeout=2, health_check_interval=0, retry=Retry(NoBackoff(), 1)
    )
    return client


@contextlib.contextmanager
def redis_errors() -> Any:
    """Connection trouble becomes :class:`Unavailable`; a mistake of ours stays what it is."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, ConnectionError) as error:
        raise Unavailable("A store does not answer.") from error


_HOLD = """
local held = {}
for i, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if owner == ARGV[1] then redis.call('PEXPIRE', key, ARGV[2]); held[#held + 1] = i
  elseif not owner then redis.call('SET', key, ARGV[1], 'PX', ARGV[2]); held[#held + 1] = i end
end
return held
"""

#: KEYS: lease, cursor hash; ARGV: owner, stream, position. A consumer that lost its lease moves nothing.
_ACK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""

_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


def _place(position: str) -> tuple[int, int]:
    first, second = position.split("-")
    return int(first), int(second)


class RedisBus(Bus):
    """One stream per topic and partition: ``<prefix>:{topic}:<partition>``."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "bus",
        partitions: int = 4,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """``groups`` are those that the whole deployment declares, with their topics: trimming waits for each."""
        self._redis = redis
        self._prefix = prefix
        self._partitions = partitions
        self._groups = dict(groups or {})

    def _stream(self, topic: str, partition: int) -> str:
        return f"{self._prefix}:{topic}:{partition}"

    def _streams(self, topics: Sequence[str], partitions: Sequence[int]) -> list[str]:
        return [self._stream(topic, partition) for topic in topics for partition in partitions]

    async def publish(self, messages: Sequence[Message]) -> None:
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for message in messages:
                    partition = zlib.crc32(message.key.encode()) % self._partitions
                    pipe.xadd(
                        self._stream(message.topic, partition),
                        {
                            "t": message.type,
                            "k": message.key,
                            "s": message.sequence,
                            "e": message.envelope,
                        },
                    )
                await pipe.execute()

    def consume(self, group: str, topics: Sequence[str]) -> Consumer:
        return _RedisConsumer(self, group, topics)

    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        behind = 0
        every = range(self._partitions)
        for group, topics in groups.items():
            streams = self._streams(topics, every)
            with redis_errors():
                cursors = await self._redis.hgetall(f"{self._prefix}:cursor:{group}")
                async with self._redis.pipeline(transaction=False) as pipe:
                    for stream in streams:
                        cursor = cursors.get(stream.encode(), b"0-0").decode()
                        pipe.xrange(stream, min=f"({cursor}", count=1000)
                    behind += sum(len(entries) for entries in await pipe.execute())
        return behind

    async def trim(self) -> None:
        """Drop what every declared group has acknowledged; never by length."""
        cursors = {}
        with redis_errors():
            for group in self._groups:
                cursors[group] = await self._redis.hgetall(f"{self._prefix}:cursor:{group}")
            topics = sorted({topic for topics in self._groups.values() for topic in topics})
            for stream in self._streams(topics, range(self._partitions)):
                topic = stream.split(":")[-2]
                readers = [group for group, wanted in self._groups.items() if topic in wanted]
                places = [cursors[group].get(stream.encode(), b"0-0").decode() for group in readers]
                oldest = min(places, key=_place)
                if oldest != "0-0":
                    await self._redis.xtrim(stream, minid=oldest, approximate=True)


class _RedisConsumer(Consumer):
    def __init__(self, bus: RedisBus, group: str, topics: Sequence[str]) -> None:
        self._bus, self._group, self._topics = bus, group, list(topics)
        self._redis = bus._redis
        self._owner = new_id()
        self._held: set[int] = set()
        partitions = bus._partitions
        self._leases = [f"{bus._prefix}:lease:{group}:{partition}" for partition in range(partitions)]
        self._cursors: dict[str, str] = {}
        self._hold = self._redis.register_script(_HOLD)
        self._ack = self._redis.register_script(_ACK)
        self._let_go = self._redis.register_script(_RELEASE)

    async def run(self, deliver: Callable[[Delivery], Awaitable[None]]) -> None:
        renewing: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    if not await self._renew():
                        await asyncio.sleep(1.0)
                        continue
                    renewing = asyncio.create_task(self._keep())
                    await self._read(deliver)
                except (RedisError, OSError, Unavailable) as error:
                    log.warning("consumer.waiting", group=self._group, cause=type(error).__name__)
                    await asyncio.sleep(0.5)
                finally:
                    if renewing is not None:
                        renewing.cancel()
                        renewing = None
        finally:
            with contextlib.suppress(RedisError, OSError):
                await self._let_go(keys=self._leases, args=[self._owner])

    async def _renew(self) -> bool:
        held = await self._hold(keys=self._leases, args=[self._owner, LEASE_SECONDS * 1000])
        now_held = {index - 1 for index in held}
        if now_held - self._held:
            cursors = await self._redis.hgetall(f"{self._bus._prefix}:cursor:{self._group}")
            for stream in self._bus._streams(self._topics, sorted(now_held - self._held)):
                self._cursors[stream] = cursors.get(stream.encode(), b"0-0").decode()
        for stream in self._bus._streams(self._topics, sorted(self._held - now_held)):
            self._cursors.pop(stream, None)
        self._held = now_held
        return bool(now_held)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(RedisError, OSError):
                await self._renew()

    async def _read(self, deliver: Callable[[Delivery], Awaitable[None]]) -> None:
        while self._held:
            streams: dict[Any, Any] = dict(self._cursors)
            found = await self._redis.xread(streams, count=READ_COUNT, block=1000)
            if not found:
                continue
            _failpoints.hit("consumer.read")
            by_partition: dict[int, list[tuple[str, list[Any]]]] = {}
            for name, entries in found:
                stream = name.decode()
                by_partition.setdefault(int(stream.rsplit(":", 1)[1]), []).append((stream, entries))
            ends = await asyncio.gather(
                *(self._deliver(partition, batches, deliver) for partition, batches in by_partition.items()),
                return_exceptions=True,
            )
            for end in ends:
                if isinstance(end, BaseException):
                    raise end

    async def _deliver(
        self,
        partition: int,
        batches: list[tuple[str, list[Any]]],
        deliver: Callable[[Delivery], Awaitable[None]],
    ) -> None:
        for stream, entries in batches:
            topic = stream.rsplit(":", 2)[1]
            done: str | None = None
            try:
                for id_, fields in entries:
                    message = Message(
                        topic,
                        fields[b"t"].decode(),
                        fields[b"k"].decode(),
                        int(fields[b"s"]),
                        fields[b"e"].decode(),
                    )
                    await deliver(Delivery(topic, partition, id_.decode(), message))
                    done = id_.decode()
            finally:
                if done is not None:
                    await self._acknowledge(partition, stream, done)

    async def _acknowledge(self, partition: int, stream: str, position: str) -> None:
        _failpoints.hit("consumer.before_ack")
        keys = [self._leases[partition], f"{self._bus._prefix}:cursor:{self._group}"]
        if await self._ack(keys=keys, args=[self._owner, stream, position]):
            if stream in self._cursors:
                self._cursors[stream] = position
        else:
            self._cursors.pop(stream, None)
            self._held.discard(partition)
