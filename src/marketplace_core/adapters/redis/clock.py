"""The movable clock: system time and an offset that every process of the deployment shares."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from marketplace_core.adapters.redis.server import redis_errors
from marketplace_core.errors import Invalid, Problem
from marketplace_core.values import Clock

__all__ = ["RedisClock"]

log = structlog.get_logger("marketplace.clock")

POLL_SECONDS = 1.0
#: It goes no further: a token's end, a lease or a retention is counted from now, and has to be in the calendar too.
LATEST = datetime(2500, 1, 1, tzinfo=UTC)

#: KEYS: offset, channel. The offset only grows, also when two processes move the clock at once.
_ADD = """
local offset = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[2], offset)
return offset
"""
_RAISE = """
local offset = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) < offset then return {0, offset} end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[2], ARGV[1])
return {1, tonumber(ARGV[1])}
"""


class RedisClock(Clock):
    """System time plus the offset last heard of. It never goes back, and keeps going while Redis is away."""

    def __init__(self, redis: Redis, key: str = "clock:offset") -> None:
        """``key`` holds the offset in microseconds, and is the name of the channel that tells of it."""
        self._redis = redis
        self._key = key
        self._offset = timedelta()
        self._moved = asyncio.Event()
        self._add = redis.register_script(_ADD)
        self._raise = redis.register_script(_RAISE)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    async def rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    @property
    def offset(self) -> timedelta:
        return self._offset

    async def refresh(self) -> None:
        """Read the offset, as a process does when it starts. :raises Unavailable:"""
        with redis_errors():
            self._take(int(await self._redis.get(self._key) or 0))

    async def advance(self, seconds: float) -> datetime:
        """Move every process's clock on; gives the new time. :raises Invalid: it would go back. :raises Unavailable:"""
        if not seconds >= 0:
            raise _backwards("/advance")
        if seconds > (LATEST - self.now()).total_seconds():
            raise _too_late("/advance")
        with redis_errors():
            self._take(int(await self._add(keys=[self._key, self._key], args=[round(seconds * 1_000_000)])))
        return self.now()

    async def set(self, at: datetime) -> datetime:
        """Move every process's clock to ``at`` (aware). :raises Invalid: it would go back. :raises Unavailable:"""
        if at > LATEST:
            raise _too_late("/to")
        offset = (at - datetime.now(UTC)) // timedelta(microseconds=1)
        with redis_errors():
            moved, now = await self._raise(keys=[self._key, self._key], args=[offset])
        self._take(int(now))
        if not moved:
            raise _backwards("/to")
        return self.now()

    async def follow(self) -> None:
        """Hear of every move, for as long as the process lives."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.warning("clock.waiting", cause=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._key)
            while True:
                # A message may be lost, so the key is read as well: after subscribing, and each second. What it says is not
                # taken at its word: a channel belongs to the whole server, and may be of another deployment's database.
                self._take(int(await self._redis.get(self._key) or 0))
                await channel.get_message(timeout=POLL_SECONDS)

    def _take(self, microseconds: int) -> None:
        """Messages may be late and a Redis may come back empty: the clock keeps the greatest offset that it knows."""
        offset = timedelta(microseconds=microseconds)
        if offset > self._offset:
            self._offset = offset
            self._moved.set()
            self._moved = asyncio.Event()


def _too_late(pointer: str) -> Invalid:
    return Invalid([Problem(pointer, "range", f"The clock goes no further than {LATEST:%Y-%m-%d}.")])


def _backwards(pointer: str) -> Invalid:
    return Invalid([Problem(pointer, "clock.backwards", "The clock only goes forward; choose a later time.")])
