"""Counts of requests on Redis, shared by all processes: one number per subject and window of time.

What is counted is in ``rate:{name}:{window}:{digest}``; the window before it is kept as long as it is looked at. A Redis that
forgets gives everybody a fresh start, no more.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from marketplace_core.adapters._waits import Waiting

__all__ = ["Counted", "RedisRates", "Window"]

log = structlog.get_logger("marketplace.rates")

RETRY_SECONDS = 1.0

#: Counts one request for every subject, or for none where one of them has had enough. KEYS: this window and the one before,
#: for each; ARGV: how many requests in how many seconds, and the share of the window before that still counts, for each.
_HIT = """
local over, found = 0, {}
for i = 1, #KEYS / 2 do
  local used = tonumber(redis.call('GET', KEYS[2 * i - 1]) or '0')
  local before = tonumber(redis.call('GET', KEYS[2 * i]) or '0')
  if before * tonumber(ARGV[3 * i]) + used + 1 > tonumber(ARGV[3 * i - 2]) then over = 1 end
  found[2 * i - 1], found[2 * i] = used, before
end
if over == 0 then
  for i = 1, #KEYS / 2 do
    found[2 * i - 1] = redis.call('INCR', KEYS[2 * i - 1])
    redis.call('EXPIRE', KEYS[2 * i - 1], 2 * tonumber(ARGV[3 * i - 1]))
  end
end
return {over, unpack(found)}
"""

#: Adds what was counted elsewhere; gives the sums, and those of the windows before.
_ADD = """
local found = {}
for i = 1, #KEYS / 2 do
  found[2 * i - 1] = redis.call('INCRBY', KEYS[2 * i - 1], ARGV[2 * i])
  redis.call('EXPIRE', KEYS[2 * i - 1], 2 * tonumber(ARGV[2 * i - 1]))
  found[2 * i] = tonumber(redis.call('GET', KEYS[2 * i]) or '0')
end
return found
"""


class Window(Struct, frozen=True):
    """A subject of a rate at a time. ``number`` counts windows of ``seconds`` since 1970; ``kept`` is the part of the last one
    that still counts."""

    name: str
    subject: str
    number: int
    requests: int
    seconds: int
    kept: float

    def entries(self) -> tuple[str, str]:
        """Neither addresses nor e-mails are left lying about."""
        digest = hashlib.blake2b(self.subject.encode(), digest_size=12).hexdigest()
        return f"rate:{self.name}:{self.number}:{digest}", f"rate:{self.name}:{self.number - 1}:{digest}"


class Counted(Struct, frozen=True):
    """Requests in this window and in the one before."""

    used: int
    before: int


class RedisRates:
    """A Redis that does not answer within ``patience`` seconds is not asked again for a second."""

    def __init__(self, redis: Redis, *, patience: float = 0.25) -> None:
        self._hit = redis.register_script(_HIT)
        self._add = redis.register_script(_ADD)
        self._patience = patience
        self._bounded = Waiting().bounded
        self._away_until = 0.0

    async def hit(self, windows: Sequence[Window]) -> tuple[bool, list[Counted]] | None:
        """Count one request, unless that is too many: whether it was, and the counts. None: Redis is away."""
        arguments: list[float] = []
        for window in windows:
            arguments += (window.requests, window.seconds, window.kept)
        answer = await self._ask(self._hit, windows, arguments)
        return None if answer is None else (bool(answer[0]), _pairs(answer[1:]))

    async def add(self, windows: Sequence[Window], counts: Sequence[int]) -> list[Counted] | None:
        """Add to what is counted: the sums. None: Redis is away, and perhaps nothing was added."""
        arguments: list[float] = []
        for window, count in zip(windows, counts, strict=True):
            arguments += (window.seconds, count)
        answer = await self._ask(self._add, windows, arguments)
        return None if answer is None else _pairs(answer)

    async def _ask(self, script: AsyncScript, windows: Sequence[Window], arguments: list[float]) -> list[int] | None:
        now = asyncio.get_running_loop().time
        if now() < self._away_until:
            return None
        try:
            keys = [key for window in windows for key in window.entries()]
            found: list[int] = await self._bounded(self._patience, script, keys=keys, args=arguments)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._away_until = now() + RETRY_SECONDS
            log.warning("the counts of requests are away", error=type(error).__name__)
            return None
        return found


def _pairs(flat: Sequence[int]) -> list[Counted]:
    return [Counted(used, before) for used, before in zip(flat[::2], flat[1::2], strict=True)]
