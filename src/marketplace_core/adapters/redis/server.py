"""Redis: connections on which nobody waits for ever, and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from marketplace_core.adapters._waits import Waiting
from marketplace_core.errors import Unavailable

__all__ = ["connect", "redis_errors"]

#: How long an answer may take, that of a blocking read too. A command takes milliseconds; a lease outlives the wait.
ANSWER_SECONDS = 5.0
#: The same while the last wait was in vain, so that the waits of one request do not add up; still longer than a blocking read.
SILENT_SECONDS = 2.0


def connect(url: str, *, size: int = 32) -> Redis:
    """A client with its pool. ``unix:///path.sock?db=0`` and ``redis://host/0`` are both understood."""
    return Redis.from_pool(connections(url, max_connections=size, health_check_interval=0, retry=Retry(NoBackoff(), 1)))


def connections(url: str, **options: Any) -> Any:
    """A pool of connections on which nobody waits for ever: what did not answer in time is closed, and not used again."""
    pool: Any = _Pool.from_url(url, socket_connect_timeout=2, **options)
    pool.connection_class = _bounded(pool.connection_class)
    return pool


def alone(redis: Redis) -> Redis:
    """A client of the same server with one connection of its own: who holds one for good takes no place of the pool."""
    pool = redis.connection_pool
    return Redis.from_pool(type(pool)(connection_class=pool.connection_class, max_connections=1, **pool.connection_kwargs))


class _Pool(ConnectionPool):
    """Who finds every connection taken waits for one, in turn.

    redis-py has one that raises then, which in a crowd is an error for most, and one that waits with a timer for each command.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._free = asyncio.Semaphore(self.max_connections)
        self._waiting = Waiting()

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        try:
            await self._waiting.bounded(ANSWER_SECONDS if self._free.locked() else None, self._free.acquire)
        except TimeoutError as error:
            raise RedisTimeoutError("Every connection is taken.") from error
        try:
            connection = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._free.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        await super().release(connection)
        self._free.release()


def _bounded(connection_class: Any) -> Any:
    """redis-py's own time-out makes a task for each command, and a timer for each answer."""
    waiting, silent = Waiting(), False

    async def bounded(act: Any, *args: Any, **named: Any) -> Any:
        nonlocal silent
        try:
            return await waiting.bounded(SILENT_SECONDS if silent else ANSWER_SECONDS, act, *args, **named)
        except TimeoutError as error:
            silent = True
            raise RedisTimeoutError("A server does not answer.") from error

    class Bounded(connection_class):  # type: ignore[misc]  # it is one of several
        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            # What is sent in one piece goes into the socket's buffer, which is empty now.
            if isinstance(command, list) and len(command) == 1 and self.is_connected:
                await super().send_packed_command(command, check_health)
                return
            await bounded(super().send_packed_command, command, check_health)

        async def read_response(self, *args: Any, **named: Any) -> Any:
            nonlocal silent
            # With a time of its own, or for what the server sends by itself, a wait may end without anything.
            if len(args) > 1 or named.get("timeout") is not None or named.get("push_request"):
                return await super().read_response(*args, **named)
            answer = await bounded(super().read_response, *args, **named)
            silent = False
            return answer

    return Bounded


_AWAY = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError, ClusterDownError, ConnectionError)
#: The same in a script or a pipeline, and what has no class: it cannot save, has no replica, or runs somebody's long script.
_UNABLE = re.compile(
    r"(^|-|caused error: \W*|because of: )(MISCONF|NOREPLICAS|BUSY|OOM|READONLY|MASTERDOWN|CLUSTERDOWN|LOADING) "
)


@contextlib.contextmanager
def redis_errors() -> Any:
    """A server that is away, or says that it cannot now, becomes :class:`Unavailable`; a mistake of ours stays what it is."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable("A store does not answer.") from error
    except ResponseError as error:
        if _UNABLE.search(str(error)):
            raise Unavailable("A store cannot do that now.") from error
        raise
