"""Jobs on Arq: a queue per plugin, so that a worker is handed only what its plugins declare.

What Arq does by default and this does not: jobs are not pickled, not named by ``__qualname__`` and not forgotten after a
day; one that takes too long is tried again; one that was being done by a killed process is seen again after
:data:`~marketplace_core.adapters.arq.worker.LEASE_SECONDS`, not after 310.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict, cast

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.constants import job_key_prefix, result_key_prefix, retry_key_prefix
from msgspec import Meta

from marketplace_core.adapters.redis.opening import RedisServer
from marketplace_core.adapters.redis.server import connections, redis_errors
from marketplace_core.ports.outbox import FailedJob, JobQueue
from marketplace_core.ports.servers import Server

__all__ = ["ArqQueue", "FailedJob", "queue_on"]

log = structlog.get_logger("marketplace.jobs")

_NO_TRACES: Mapping[str, str] = {}


class PackedJob(TypedDict):
    """A job as Arq keeps it: its name, its arguments as JSON and perhaps its ``traceparent``, and when it was queued, in ms."""

    f: str
    a: Annotated[list[str], Meta(min_length=1, max_length=2)]
    k: Annotated[dict[str, Any], Meta(max_length=0)]
    t: int | None
    et: int


encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
#: Strict, because of a job that is of another shape Arq would stumble over it outside of what it catches, or lose it.
decode = cast(Callable[[bytes], dict[str, Any]], msgspec.msgpack.Decoder(PackedJob).decode)

#: Workers at rest wait at a list beside the queue, one word for each new job: see :func:`told_key`. More than this many words
#: wake nobody more.
_WORDS = 16

_TELL = f"""
local function tell(queue)
  redis.call('LPUSH', queue .. ':told', '')
  redis.call('LTRIM', queue .. ':told', 0, {_WORDS - 1})
end
"""

#: KEYS: set of queues; ARGV: time in ms, then queue, id, job for each. One that failed is known for as long as it is kept.
_PUT = f"""{_TELL}
local queued = 0
for i = 2, #ARGV, 3 do
  local queue, id = ARGV[i], ARGV[i + 1]
  local known = redis.call('EXISTS', '{job_key_prefix}' .. id, '{result_key_prefix}' .. id)
  if known == 0 and redis.call('HEXISTS', queue .. ':failed', id) == 0 then
    redis.call('SET', '{job_key_prefix}' .. id, ARGV[i + 2])
    redis.call('ZADD', queue, ARGV[1], id)
    redis.call('SADD', KEYS[1], queue)
    tell(queue)
    queued = queued + 1
  end
end
return queued
"""

#: KEYS: failed jobs, queue; ARGV: id, how it is kept, job or '', time in ms. Whole or not at all: a job that fails again at
#: once is kept again, and one that two ask for is queued once.
_RELEASE = f"""{_TELL}
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
if ARGV[3] ~= '' then
  redis.call('DEL', '{result_key_prefix}' .. ARGV[1], '{retry_key_prefix}' .. ARGV[1])
  redis.call('SET', '{job_key_prefix}' .. ARGV[1], ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
  tell(KEYS[2])
end
return 1
"""


def client(url: str) -> ArqRedis:
    """Not Arq's own settings: they know fewer URLs than redis-py does."""
    return ArqRedis(connections(url), job_serializer=encode, job_deserializer=decode)


def failed_key(queue: str) -> str:
    return f"{queue}:failed"


def told_key(queue: str) -> str:
    """Where a word waits for whoever has nothing to do."""
    return f"{queue}:told"


class ArqQueue(JobQueue):
    """The queues of one deployment: ``<name>:<plugin>`` each, the plugin being the prefix of a job's name."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self._redis: Any = client(url)  # its stubs say of each command that it may be of either colour
        self._put = self._redis.register_script(_PUT)
        self._release = self._redis.register_script(_RELEASE)

    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = _NO_TRACES) -> None:
        now = int(datetime.now(UTC).timestamp() * 1000)
        values: list[Any] = [now]
        for job, id_, args in jobs:
            values += [queue_of(self._name, job), id_, _packed(job, args, now, traces.get(id_, ""))]
        with redis_errors():
            await self._put(keys=[f"{self._name}:queues"], args=values)

    async def backlog(self, now: datetime) -> int:
        latest = int(now.timestamp() * 1000)
        with redis_errors():
            return sum([await self._redis.zcount(queue, "-inf", latest) for queue in await self._queues()])

    async def backlogs(self, plugins: Sequence[str], now: datetime) -> dict[str, tuple[int, int]]:
        """For each plugin: how many of its jobs are due or running, and how many have failed."""
        latest = int(now.timestamp() * 1000)
        found = {}
        with redis_errors():
            for plugin in plugins:
                queue = queue_of(self._name, plugin)
                found[plugin] = await self._redis.zcount(queue, "-inf", latest), await self._redis.hlen(failed_key(queue))
        return found

    async def failed(self) -> list[FailedJob]:
        found = []
        with redis_errors():
            for queue in await self._queues():
                for raw in await self._redis.hvals(failed_key(queue)):
                    found.append(msgspec.json.decode(raw, type=FailedJob))
        return sorted(found, key=lambda job: (job.at, job.id))

    async def release(self, id_: str, *, drop: bool = False) -> bool:
        now = int(datetime.now(UTC).timestamp() * 1000)
        with redis_errors():
            for queue in await self._queues():
                while (raw := await self._redis.hget(failed_key(queue), id_)) is not None:
                    packed = b"" if drop else _again(msgspec.json.decode(raw, type=FailedJob), now)
                    if await self._release(keys=[failed_key(queue), queue], args=[id_, raw, packed, now]):
                        return True
        return False

    async def _queues(self) -> list[str]:
        return sorted(name.decode() for name in await self._redis.smembers(f"{self._name}:queues"))

    async def serve(self, jobs: Mapping[str, Callable[[str], Awaitable[None]]]) -> None:
        from marketplace_core.adapters.arq.worker import ArqWorker  # noqa: PLC0415 - it imports this module

        await ArqWorker(self._url, self._name, jobs).run()

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)


def _packed(job: str, args: str, now: int, trace: str = "") -> bytes:
    return encode(PackedJob(f=job, a=[args, trace], k={}, t=None, et=now))


def _again(failed: FailedJob, now: int) -> bytes:
    return failed.payload or _packed(failed.job, failed.args, now)


def queue_of(name: str, job: str) -> str:
    return f"{name}:{job.split('.', 1)[0]}"


def queue_on(server: Server, name: str) -> ArqQueue:
    """The jobs of a deployment on a Redis: on connections of Arq's own, with the server's address."""
    if not isinstance(server, RedisServer):
        raise TypeError(f"{type(server).__name__} is no Redis")
    return ArqQueue(server.url, name)
