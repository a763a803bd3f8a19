"""Encoded public reads on Redis, and short look-ups that never hold a request up.

An entry at ``read:{path?query}`` holds the generation and the version under which it was filled, its entity tag and its
bytes. ``readgen:{plugin}`` and ``readver:{plugin}:{tag}`` hold random tokens; an entry counts while both are equal to its
own. To drop is to set a new token: a reader that began before it fills an entry that nobody will take. Losing tokens, to
eviction or to a restart, loses the entries with them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from marketplace_core import metrics
from marketplace_core.adapters._waits import Waiting
from marketplace_core.adapters.redis.server import redis_errors
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Cache

__all__ = ["EncodedReads", "Lookups", "Read", "RedisCache", "Ticket"]

log = structlog.get_logger("marketplace.reads")

TOKEN_SECONDS = 30 * 86400
#: Of a token that a look made: what was asked for may not exist, and then nothing is kept under it.
FIRST_SECONDS = 60
RETRY_SECONDS = 1.0


def _generation(plugin: str) -> str:
    return f"readgen:{plugin}"


def _version(plugin: str, tag: str) -> str:
    return f"readver:{plugin}:{tag}"


def _token() -> bytes:
    return os.urandom(12)


class _Entry(Struct, array_like=True, frozen=True, gc=False):
    generation: bytes
    version: bytes
    etag: str
    body: bytes


class Ticket(Struct, frozen=True, gc=False):
    """The right to fill an entry: the tokens as they were before the read that fills it."""

    key: str
    names: tuple[str, str]
    generation: bytes
    version: bytes


class Read(Struct, frozen=True, gc=False):
    """What one look found: the encoded answer, or the ticket to fill it; neither while Redis is away.

    ``entries`` holds the extra keys that were asked for; it is empty while Redis is away.
    """

    etag: str | None = None
    body: bytes = b""
    ticket: Ticket | None = None
    entries: Mapping[str, bytes | None] = {}


Answer = asyncio.Future["list[bytes | None] | None"]


class Lookups:
    """GETs that are answered soon or not at all. Those that wait at one time share one MGET on a connection of its own.

    A Redis that does not answer within ``patience`` seconds is not asked again for a second.
    """

    def __init__(self, redis: Redis, *, patience: float = 0.25) -> None:
        self._pool: Any = redis.connection_pool
        self._patience = patience
        #: Not a timer for each: one that is late, as in a crowd they all are, would take that for Redis's silence.
        self.bounded = Waiting().bounded
        self._away_until = 0.0
        self._keys: list[str] = []
        self._waiting: list[tuple[int, Answer]] = []
        self._sending: asyncio.Task[None] | None = None
        self._connection: Any = None

    async def get(self, keys: Sequence[str]) -> list[bytes | None] | None:
        """The values in order, or None when Redis is away."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            return None
        answer: Answer = loop.create_future()
        self._keys += keys
        self._waiting.append((len(keys), answer))
        if self._sending is None:
            self._sending = loop.create_task(self._send())
        return await answer

    def away(self, error: Exception) -> None:
        """Ask nothing for a while."""
        self._away_until = asyncio.get_running_loop().time() + RETRY_SECONDS
        log.warning("redis is away", error=type(error).__name__)

    async def _send(self) -> None:
        """Ask for what waits, and then for what has come meanwhile."""
        try:
            while self._waiting:
                keys, waiting = self._keys, self._waiting
                self._keys, self._waiting = [], []
                values: list[bytes | None] | None = None
                try:
                    values = await self._mget(keys)
                finally:
                    start = 0
                    for count, answer in waiting:
                        if not answer.done():  # whose request has ended
                            answer.set_result(None if values is None else values[start : start + count])
                        start += count
        finally:
            self._sending = None

    async def _mget(self, keys: list[str]) -> list[bytes | None] | None:
        try:
            values: list[bytes | None] = await self.bounded(self._patience, self._exchange_surely, keys)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self.away(error)
            return None
        return values

    async def _exchange_surely(self, keys: list[str]) -> list[bytes | None]:
        try:
            return await self._exchange(keys)
        except (RedisError, OSError):  # perhaps Redis was only started again
            return await self._exchange(keys)

    async def _exchange(self, keys: list[str]) -> list[bytes | None]:
        connection = self._connection
        if connection is None:
            connection = self._connection = await self._pool.get_connection()
        try:
            if not connection.is_connected:  # the client was closed meanwhile
                await connection.connect()
            await connection.send_command("MGET", *keys, check_health=False)
            values: list[bytes | None] = await connection.read_response()
        except BaseException:  # also a time-out: an answer that comes later must not be taken for the next one's
            self._connection = None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)
            raise
        return values


class EncodedReads:
    """The reading side, in the processes that answer HTTP. Nothing fails while Redis is away."""

    def __init__(self, redis: Redis, *, seconds: float = 30, patience: float = 0.25) -> None:
        """``seconds``: how long an entry is kept; ``patience``: how long a request waits for Redis."""
        self._redis = redis
        self._life = int(seconds * 1000)
        self._patience = patience
        self._lookups = Lookups(redis, patience=patience)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Entry).decode
        self._counted: dict[str, dict[str, Counter]] = {}

    def _counts(self, plugin: str) -> dict[str, Counter]:
        found = self._counted.get(plugin)
        if found is None:
            found = {result: metrics.READS.labels(plugin, result) for result in ("hit", "miss", "away")}
            self._counted[plugin] = found
        return found

    async def look(self, key: str, plugin: str, tag: str, extra: Sequence[str] = ()) -> Read:
        """One round trip; a second one where the tokens have to be made first."""
        names = (_generation(plugin), _version(plugin, tag))
        values = await self._lookups.get((f"read:{key}", *names, *extra))
        counts = self._counts(plugin)
        if values is None:
            counts["away"].inc()
            return Read()
        raw, generation, version = values[:3]
        entries = dict(zip(extra, values[3:], strict=True)) if extra else {}
        if generation is None or version is None:
            counts["miss"].inc()
            return Read(ticket=await self._first_ticket(key, names), entries=entries)
        if raw is not None:
            entry = self._decode(raw)
            if entry.generation == generation and entry.version == version:
                counts["hit"].inc()
                return Read(entry.etag, entry.body, entries=entries)
        counts["miss"].inc()
        return Read(ticket=Ticket(key, names, generation, version), entries=entries)

    async def keep(self, ticket: Ticket, etag: str, body: bytes, seconds: float | None = None) -> None:
        """Fill the entry, for so many seconds at most; it counts only if nothing was dropped since the ticket was made."""
        life = self._life if seconds is None else min(self._life, max(1, int(seconds * 1000)))
        raw = self._encode(_Entry(ticket.generation, ticket.version, etag, body))
        try:
            async with asyncio.timeout(self._patience), self._redis.pipeline(transaction=False) as pipe:
                pipe.set(f"read:{ticket.key}", raw, px=life)
                for name in ticket.names:  # there is such a thing
                    pipe.expire(name, TOKEN_SECONDS)
                await pipe.execute()
        except (RedisError, OSError) as error:
            self._lookups.away(error)

    async def _first_ticket(self, key: str, names: tuple[str, str]) -> Ticket | None:
        try:
            async with asyncio.timeout(self._patience), self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.set(name, _token(), nx=True, ex=FIRST_SECONDS)
                pipe.mget(names)
                generation, version = (await pipe.execute())[-1]
        except (RedisError, OSError) as error:
            self._lookups.away(error)
            return None
        return Ticket(key, names, generation, version) if generation and version else None


class RedisCache(Cache):
    """The dropping side, of one plugin."""

    def __init__(self, redis: Redis, plugin: str, *, patience: float = 1.0) -> None:
        """``patience``: seconds after which a Redis that is silent counts as away."""
        self._redis = redis
        self._plugin = plugin
        self._patience = patience

    async def drop(self, tags: Sequence[str]) -> None:
        if tags:
            await self._renew([_version(self._plugin, tag) for tag in dict.fromkeys(tags)])

    async def drop_all(self) -> None:
        await self._renew([_generation(self._plugin)])

    async def _renew(self, names: Sequence[str]) -> None:
        try:
            with redis_errors():
                async with asyncio.timeout(self._patience), self._redis.pipeline(transaction=False) as pipe:
                    for name in names:
                        pipe.set(name, _token(), ex=TOKEN_SECONDS)
                    await pipe.execute()
        except (RedisError, OSError) as error:  # out of memory, read only, a time-out: also not done
            raise Unavailable("The cache of public reads does not answer.") from error
