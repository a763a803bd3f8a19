"""A group's share of the bus on Redis Streams: leases, one reader, and one task for each partition held.

A lease is a key with a token; each taking has a new one. A consumer that was stopped past its lease finds another
token, or none: then it moves no cursor, drops what it had read, and begins again where the group is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from marketplace_core._runtime import failpoints
from marketplace_core.adapters._serving import AWAY_PAUSE, ServingConsumer, Step
from marketplace_core.adapters.redis.partitions import Entry, Names, Partition
from marketplace_core.values import new_id

log = structlog.get_logger("marketplace.redis")

#: Of each stream at once: for a handler; and at most, for who takes batches.
READ_COUNT, READ_MOST = 100, 1000
#: Shorter than a client waits for any answer. A read that is under way is ended where there is more to read.
BLOCK_MS = 4000
#: How long to block while some partition is full, since it may have room again soon.
BUSY_BLOCK_MS = 20

#: KEYS: members, then a lease per partition; ARGV: owner, token for what is newly taken, lease in ms.
#: Gives how many partitions are this member's share, then per partition the token if it is ours, else "".
_HOLD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(members)
local partitions, rank = #KEYS - 1, 0
for i, member in ipairs(members) do if member == ARGV[1] then rank = i end end
local share = math.floor(partitions / #members)
if rank <= partitions % #members then share = share + 1 end
local answer, mine = {share}, 0
for i = 2, #KEYS do
  local token = redis.call('GET', KEYS[i])
  if token and string.sub(token, 1, #ARGV[1]) == ARGV[1] then
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
    answer[i], mine = token, mine + 1
  else
    answer[i] = token and '' or false
  end
end
for i = 2, #KEYS do
  if not answer[i] then
    answer[i] = ''
    if mine < share then
      redis.call('SET', KEYS[i], ARGV[2], 'PX', ARGV[3])
      answer[i], mine = ARGV[2], mine + 1
    end
  end
end
return answer
"""

#: KEYS: lease, cursor hash; ARGV: token, then stream and position in turn. Without the lease nothing moves.
_ACK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
"""

#: KEYS: members, then a lease per partition; ARGV: an owner whose connection is gone. Its partitions are free at once.
_BURY = """
redis.call('ZREM', KEYS[1], ARGV[1])
for i = 2, #KEYS do
  local token = redis.call('GET', KEYS[i])
  if token and string.sub(token, 1, #ARGV[1]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
"""

_GIVE_UP = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisConsumer(ServingConsumer[Partition]):
    away = (RedisError, OSError)

    def __init__(self, redis: Redis, alone: Callable[[], Redis], names: Names, group: str, lease: float) -> None:
        """``alone`` makes a client with a connection of its own, which is held for good."""
        super().__init__(group)
        self._alone = alone
        self._redis, self._names, self._lease = redis, names, lease
        self._owner = new_id()
        self._taken = 0
        self._share = 0
        self._valid_until = 0.0
        self._hold = redis.register_script(_HOLD)
        self._ack = redis.register_script(_ACK)
        self._give_up = redis.register_script(_GIVE_UP)
        self._bury = redis.register_script(_BURY)
        self._present = asyncio.Event()
        self._reader: int | None = None

    async def _consume(self, step: Step[Partition]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep(tasks, step))
                tasks.create_task(self._read())
        finally:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._redis.zrem(self._names.members, self._owner)

    # ── leases ───────────────────────────────────────────────────────────────────────────────────────────

    async def _keep(self, tasks: asyncio.TaskGroup, step: Step[Partition]) -> None:
        loop = asyncio.get_running_loop()
        await self._present.wait()
        while True:
            began = loop.time()
            wanting = len(self._held) < self._share or not self._share
            try:
                async with asyncio.timeout(self._lease / 2):
                    if wanting:
                        await self._bury_the_dead()
                    await self._renew(tasks, step)
                self._valid_until = began + self._lease
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("consumer.waiting", group=self._group, cause=type(error).__name__)
            wanting = len(self._held) < self._share or not self._share
            await asyncio.sleep(min(self._lease * 0.3, 1.0 if wanting else 3.0))

    async def _renew(self, tasks: asyncio.TaskGroup, step: Step[Partition]) -> None:
        self._taken += 1
        share, *answer = await self._hold(
            keys=[self._names.members, *self._names.leases],
            args=[self._owner, f"{self._owner}:{self._taken}", round(self._lease * 1000)],
        )
        self._share = int(share)
        tokens = {number: token.decode() for number, token in enumerate(answer) if token}
        for partition in list(self._held.values()):
            if tokens.get(partition.number) != partition.token:
                await self._lose(partition)
        fresh = [number for number in tokens if number not in self._held]
        if fresh:
            cursors = await self._redis.hgetall(self._names.cursors)  # type: ignore[misc]  # the stub has both colours
            for number in fresh:
                streams = self._names.streams(number)
                positions = {stream: cursors.get(stream.encode(), b"0-0").decode() for stream in streams}
                partition = self._held[number] = Partition(number, tokens[number], positions)
                partition.task = tasks.create_task(self._serve(partition, step))
            if self._reader is not None:
                await self._redis.client_unblock(self._reader)
        for number in sorted(self._held, reverse=True)[: max(0, len(self._held) - self._share)]:
            self._held[number].leave()

    async def _bury_the_dead(self) -> None:
        """Who is killed closes its connection with that: nobody has to wait for its leases to run out.

        One that only lost its connection finds its tokens gone, as one that was stopped past its lease does.
        """
        members = [member.decode() for member in await self._redis.zrange(self._names.members, 0, -1)]
        if not [member for member in members if member != self._owner]:
            return
        connected = {client["name"] for client in await self._redis.client_list()}
        for member in members:
            if member not in connected:
                log.info("consumer.buried", group=self._group)
                await self._bury(keys=[self._names.members, *self._names.leases], args=[member])

    async def _lose(self, partition: Partition) -> None:
        log.warning("consumer.lease_lost", group=self._group, partition=partition.number)
        partition.lost = True
        if partition.task is not None:
            partition.task.cancel()
            await asyncio.wait([partition.task])
        # Where it was just being left, or had not begun, the task did not come to that.
        if self._held.get(partition.number) is partition:
            del self._held[partition.number]

    async def _until_valid(self, partition: Partition) -> None:
        """A process that was stopped past its lease delivers nothing before it has looked what became of it."""
        while asyncio.get_running_loop().time() >= self._valid_until:  # noqa: ASYNC110 - time passes, nobody tells
            await asyncio.sleep(0.02)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        """On a connection of its own, whose name tells the others that this member lives."""
        while True:
            try:
                async with self._alone() as connection:
                    # As it came: the driver would make a dictionary and two objects of each entry.
                    connection.set_response_callback("XREAD", _as_it_came)
                    await connection.client_setname(self._owner)
                    self._reader = await connection.client_id()
                    self._present.set()
                    await self._read_on(connection)
            except (RedisError, OSError) as error:
                log.warning("consumer.waiting", group=self._group, cause=type(error).__name__)
                await asyncio.sleep(AWAY_PAUSE)

    async def _read_on(self, connection: Redis) -> None:
        """One blocking read for all partitions with room: a slow one does not stop the others."""
        count = min(max(READ_COUNT, self._ahead // (2 * len(self._names.topics))), READ_MOST)
        while True:
            ready = [each for each in self._held.values() if len(each.waiting) < self._ahead and not each.leaving]
            owners = {stream: each for each in ready for stream in each.positions}
            if not owners:
                await asyncio.sleep(BUSY_BLOCK_MS / 1000)
                continue
            streams: dict[Any, Any] = {stream: owner.positions[stream] for stream, owner in owners.items()}
            block = BLOCK_MS if len(ready) == len(self._held) else BUSY_BLOCK_MS
            found = await connection.xread(streams, count=count, block=block)
            failpoints.hit("consumer.read")
            now = asyncio.get_running_loop().time()
            for name, entries in found or ():
                stream = name.decode()
                owner, topic = owners[stream], stream.rsplit(":", 2)[1]
                owner.waiting.extend([Entry(stream, topic, id_.decode(), parts, now) for id_, parts in entries])
                owner.positions[stream] = entries[-1][0].decode()
                owner.stirred.set()

    # ── acknowledging ────────────────────────────────────────────────────────────────────────────────────

    async def _acknowledge(self, partition: Partition, done: dict[str, str]) -> bool:
        """Whether the partition is still ours; then its cursor has moved."""
        if not done:
            return True
        failpoints.hit("consumer.before_ack")
        places = [part for place in done.items() for part in place]
        kept = await self._ack(
            keys=[self._names.leases[partition.number], self._names.cursors], args=[partition.token, *places]
        )
        if kept:
            done.clear()
        return bool(kept)

    async def _part(self, partition: Partition, done: dict[str, str]) -> None:
        if not partition.lost and await self._acknowledge(partition, done):
            await self._give_up(keys=[self._names.leases[partition.number]], args=[partition.token])


def _as_it_came(response: Any, **_: Any) -> Any:
    return response
