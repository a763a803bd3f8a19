"""Feeds on Redis: a list per feed and generation, which nobody changes, and beside them what was removed since.

``{name}:last`` is the generation that was begun last and ``{name}:now`` the one that is read; ``{name}:kept`` are earlier ones
that can be read, by when they end. ``{name}:{generation}`` says of one that it is there, and when it was built; ``…:feeds``
are its feeds and ``…:feed:{feed}`` the entries of each: an id, a zero byte and its data, or one text without a zero byte where
there are none. ``{name}:gone`` has each removed id under the generation that was the last begun then: it is in none up to that.

Generations are numbered by the server's clock, so that one which forgets everything does not give a number twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from marketplace_core.adapters.redis.server import redis_errors
from marketplace_core.errors import BadCursor
from marketplace_core.ports import FeedEntry, FeedLost, FeedPage, FeedStore

__all__ = ["RedisFeeds"]

#: For so long a generation can be read on in after the next one was published.
KEEP_SECONDS = 900
#: A generation that is not written to for so long was given up.
BUILD_SECONDS = 3600

#: KEYS[1]: the name. ARGV: seconds until it is given up.
_BEGIN = """
local time = redis.call('TIME')
local generation = math.max(time[1] * 1000000 + time[2], (tonumber(redis.call('GET', KEYS[1] .. ':last')) or 0) + 1)
local text = string.format('%.0f', generation)
redis.call('SET', KEYS[1] .. ':last', text)
redis.call('SET', KEYS[1] .. ':' .. text, '', 'EX', ARGV[1])
return text
"""

#: ARGV: seconds, generation, feed, entries. 0: the generation is lost.
_WRITE = """
local generation = KEYS[1] .. ':' .. ARGV[2]
if redis.call('EXISTS', generation) == 0 then return 0 end
local feeds, list = generation .. ':feeds', generation .. ':feed:' .. ARGV[3]
redis.call('DEL', list)
if #ARGV < 4 then redis.call('RPUSH', list, '') end
for first = 4, #ARGV, 1000 do
  redis.call('RPUSH', list, unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('SADD', feeds, ARGV[3])
if redis.call('TTL', generation) >= 0 then
  for _, key in ipairs({generation, feeds, list}) do redis.call('EXPIRE', key, ARGV[1]) end
end
return 1
"""

#: ARGV: generation, when it was built, seconds that the one before is kept. -1: the generation is lost.
_PUBLISH = """
local generation = KEYS[1] .. ':' .. ARGV[1]
if redis.call('EXISTS', generation) == 0 then return -1 end
local before = redis.call('GET', KEYS[1] .. ':now')
if before and tonumber(before) >= tonumber(ARGV[1]) then return 0 end
local function keep(number, seconds)
  local name = KEYS[1] .. ':' .. number
  local keys = {name, name .. ':feeds'}
  for _, feed in ipairs(redis.call('SMEMBERS', name .. ':feeds')) do keys[#keys + 1] = name .. ':feed:' .. feed end
  for _, key in ipairs(keys) do
    if seconds then redis.call('EXPIRE', key, seconds) else redis.call('PERSIST', key) end
  end
end
redis.call('SET', generation, ARGV[2])
keep(ARGV[1])
local now, kept, gone = redis.call('TIME')[1], KEYS[1] .. ':kept', KEYS[1] .. ':gone'
redis.call('ZREMRANGEBYSCORE', kept, '-inf', now)
if before then
  keep(before, ARGV[3])
  redis.call('ZADD', kept, now + ARGV[3] + 1, before)
end
redis.call('SET', KEYS[1] .. ':now', ARGV[1])
local oldest = tonumber(ARGV[1])
for _, number in ipairs(redis.call('ZRANGE', kept, 0, -1)) do oldest = math.min(oldest, tonumber(number)) end
redis.call('ZREMRANGEBYSCORE', gone, '-inf', '(' .. string.format('%.0f', oldest))
return 1
"""

#: ARGV: feed, size, generation or '', position. Gives nothing where there is no such feed, 0 where the generation is gone, else
#: generation, when it was built, position of the next page or -1, and the entries. It looks one entry beyond the page.
_READ = """
local generation = ARGV[3]
if generation == '' then
  generation = redis.call('GET', KEYS[1] .. ':now')
  if not generation then return false end
end
local built_at = redis.call('GET', KEYS[1] .. ':' .. generation)
if not built_at or built_at == '' then return ARGV[3] ~= '' and 0 end
local list = KEYS[1] .. ':' .. generation .. ':feed:' .. ARGV[1]
if redis.call('EXISTS', list) == 0 then return false end
local size, position, number = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(generation)
local answer, found, following = {generation, built_at, -1}, 0, position
while true do
  local some = redis.call('LRANGE', list, position, position + size)
  for _, entry in ipairs(some) do
    local zero = string.find(entry, '\\0', 1, true)
    local gone = zero and redis.call('ZSCORE', KEYS[1] .. ':gone', string.sub(entry, 1, zero - 1))
    if zero and (not gone or tonumber(gone) < number) then
      if found == size then
        answer[3] = following
        return answer
      end
      found = found + 1
      answer[found + 3] = entry
      following = position + 1
    end
    position = position + 1
  end
  if #some <= size then return answer end
end
"""

#: ARGV: ids.
_REMOVE = """
local last = redis.call('GET', KEYS[1] .. ':last')
if not last then return 0 end
for _, id in ipairs(ARGV) do redis.call('ZADD', KEYS[1] .. ':gone', last, id) end
return #ARGV
"""


class RedisFeeds(FeedStore):
    """``name``: what tells them from those of another deployment on the same server."""

    def __init__(self, redis: Redis, name: str = "feeds", *, keep: int = KEEP_SECONDS, build: int = BUILD_SECONDS) -> None:
        """``keep``: for how many seconds a generation can be read after the next one was published; ``build``: after how many
        in which nothing is written an unfinished one is forgotten."""
        self._keep, self._build = keep, build
        self._redis, self._keys = redis, [name]
        scripts = (_BEGIN, _WRITE, _PUBLISH, _READ, _REMOVE)
        self._begin, self._write, self._publish, self._read, self._remove = map(redis.register_script, scripts)

    async def begin(self) -> int:
        with redis_errors():
            return int(await self._begin(self._keys, [self._build]))

    async def write(self, generation: int, feed: str, entries: Sequence[FeedEntry]) -> None:
        packed = [entry.id.encode() + b"\0" + entry.data for entry in entries]
        with redis_errors():
            if not await self._write(self._keys, [self._build, generation, feed, *packed]):
                raise FeedLost(generation)

    async def publish(self, generation: int, built_at: datetime) -> bool:
        with redis_errors():
            done = await self._publish(self._keys, [generation, built_at.astimezone(UTC).isoformat(), self._keep])
        if done < 0:
            raise FeedLost(generation)
        return bool(done)

    async def read(self, feed: str, size: int, after: tuple[int, int] | None = None) -> FeedPage | None:
        generation, position = after or ("", 0)
        with redis_errors():
            found: Any = await self._read(self._keys, [feed, size, generation, position])
        if found is None:
            return None
        if found == 0:
            raise BadCursor()
        number, built_at, following, *entries = found
        return FeedPage(
            tuple(_entry(entry) for entry in entries),
            datetime.fromisoformat(built_at.decode()),
            None if following < 0 else (int(number), following),
        )

    async def remove(self, ids: Sequence[str]) -> None:
        if ids:
            with redis_errors():
                await self._remove(self._keys, list(ids))


def _entry(packed: bytes) -> FeedEntry:
    id_, _, data = packed.partition(b"\0")
    return FeedEntry(id_.decode(), data)
