"""The allow-list of sessions and API keys on Redis, which gateways read: at ``session:{id}`` a MessagePack ``SessionState``, at
``apikey:{digest}`` an ``ApiKeyState``.

An ended session leaves a mark there for a while, which no gateway can read as a session, and what is there is never
overwritten: so an entry that was on its way when the session ended comes too late, however slow the network is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from marketplace_core.capabilities.auth import ApiKeyState, SessionState
from marketplace_core.errors import Unavailable

__all__ = ["AllowList"]

log = structlog.get_logger("marketplace.auth")

ENTRY_SECONDS = 60
ENDED = b""
ENDED_SECONDS = 120
RETRY_SECONDS = 1.0


class AllowList:
    def __init__(self, redis: Redis, *, patience: float = 0.25) -> None:
        """``patience``: seconds that an answer waits for Redis to take an entry."""
        self._redis = redis
        self._patience = patience
        self._away_until = 0.0

    async def keep(self, key: str, state: SessionState | ApiKeyState) -> None:
        """Let gateways see what is live. While Redis is away they ask us, so this never fails."""
        now = asyncio.get_running_loop().time
        if now() < self._away_until:
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._redis.set(key, msgspec.msgpack.encode(state), ex=ENTRY_SECONDS, nx=True)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._away_until = now() + RETRY_SECONDS
            log.warning("the allow-list is away", error=type(error).__name__)

    async def end(self, keys: Sequence[str]) -> None:
        """No gateway sees these any more when this returns. :raises Unavailable: some may, for up to a minute."""
        if not keys:
            return
        try:
            async with asyncio.timeout(8 * self._patience), self._redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.set(key, ENDED, ex=ENDED_SECONDS)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise Unavailable("It has ended, but a gateway may not know it yet; please repeat.") from error
