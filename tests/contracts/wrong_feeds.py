"""Feeds with one mistake each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from marketplace_core.adapters.redis import feeds
from marketplace_core.adapters.redis.feeds import RedisFeeds
from marketplace_core.ports import FeedEntry, FeedPage


def _but(redis: Redis, script: str, pattern: str, instead: str) -> Any:
    changed, count = re.subn(pattern, instead, script, flags=re.S)
    assert count == 1
    return redis.register_script(changed)


class Sorts(RedisFeeds):
    async def write(self, generation: int, feed: str, entries: Sequence[FeedEntry]) -> None:
        await super().write(generation, feed, sorted(entries, key=lambda entry: entry.id))


class MissingIsEmpty(RedisFeeds):
    async def read(self, feed: str, size: int, after: tuple[int, int] | None = None) -> FeedPage | None:
        return await super().read(feed, size, after) or FeedPage((), datetime.now().astimezone())


class WritesInPlace(RedisFeeds):
    """What is written is seen at once."""

    async def write(self, generation: int, feed: str, entries: Sequence[FeedEntry]) -> None:
        await super().write(generation, feed, entries)
        now = await self._redis.get("feeds:now")
        if now is not None:
            await self._redis.copy(f"feeds:{generation}:feed:{feed}", f"feeds:{now.decode()}:feed:{feed}", replace=True)


class ShowsWhatIsBuilt(RedisFeeds):
    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named)
        self._read = _but(redis, feeds._READ, r"if not built_at or built_at == '' then", "if not built_at then")

    async def read(self, feed: str, size: int, after: tuple[int, int] | None = None) -> FeedPage | None:
        try:
            return await super().read(feed, size, after)
        except ValueError:  # no time
            return FeedPage((), datetime.now().astimezone())


class ReadsTheLatest(RedisFeeds):
    """A cursor is but a position."""

    async def read(self, feed: str, size: int, after: tuple[int, int] | None = None) -> FeedPage | None:
        now = await self._redis.get("feeds:now")
        return await super().read(feed, size, after and (int(now), after[1]))


class KeepsForEver(RedisFeeds):
    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named | {"keep": 3600})


class RemovesTheFirst(RedisFeeds):
    async def remove(self, ids: Sequence[str]) -> None:
        await super().remove(ids[:1])


class CutsThemOut(RedisFeeds):
    """What comes behind moves up."""

    async def remove(self, ids: Sequence[str]) -> None:
        now = (await self._redis.get("feeds:now")).decode()
        for name in await self._redis.keys(f"feeds:{now}:feed:*"):
            for entry in await self._redis.lrange(name, 0, -1):
                if entry.partition(b"\0")[0].decode() in ids:
                    await self._redis.lrem(name, 0, entry)


class RemovesFromWhatIsRead(RedisFeeds):
    """What is being built is not thought of."""

    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named)
        self._remove = _but(redis, feeds._REMOVE, ":last", ":now")


class RemovesForEver(RedisFeeds):
    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named)
        self._remove = _but(redis, feeds._REMOVE, "':gone', last", "':gone', '9e15'")


class TheLastToPublishWins(RedisFeeds):
    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named)
        self._publish = _but(redis, feeds._PUBLISH, "if before and tonumber.*?end", "")


class Appends(RedisFeeds):
    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named)
        self._write = _but(redis, feeds._WRITE, r"redis.call\('DEL', list\)", "")


class PublishesWhatIsLeft(RedisFeeds):
    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named)
        self._write = _but(redis, feeds._WRITE, "if redis.call.'EXISTS', generation. == 0 then return 0 end", "")


class CountsFromOne(RedisFeeds):
    """After a loss a number is given again."""

    def __init__(self, redis: Redis, name: str = "feeds", **named: Any) -> None:
        super().__init__(redis, name, **named)
        self._begin = _but(redis, feeds._BEGIN, r"time\[1\] \* 1000000 \+ time\[2\]", "1")
