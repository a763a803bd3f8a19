"""Jobs on Arq: a queue per plugin, so that a worker is handed only what its plugins declare.

What Arq does by default and this does not: jobs are not pickled, not named by ``__qualname__`` and not forgotten after a
day; one that takes too long is tried again; one that was being done by a killed process is seen again after
:data:`LEASE_SECONDS`, not after 310.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix, retry_key_prefix
from arq.worker import Retry, Worker, func
from msgspec import Struct
from redis.exceptions import RedisError

from marketplace_core import calls, metrics, tracing
from marketplace_core.adapters.redis import connections, redis_errors
from marketplace_core.outbox import JobQueue

__all__ = ["ArqQueue", "ArqWorker", "FailedJob"]

log = structlog.get_logger("marketplace.jobs")

JobFunction = Callable[[str], Awaitable[None]]

POLL_SECONDS = 0.2
MAX_JOBS = 2
#: A job is somebody's for so long, and this is renewed while it runs. What a killed process was doing is free then;
#: shorter, and a process that was starved for a moment would see its job done twice.
LEASE_SECONDS = 10.0
JOB_SECONDS = 900.0
#: Before each further try. After the last the job is kept among the failed ones.
RETRY_PAUSES = (1.0, 5.0, 30.0, 120.0)
AWAY_PAUSE = 0.5
STOP_SECONDS = 2.0
#: For so long a job that is done is known, so that a relay which died before marking it does not queue it again.
KEEP_SECONDS = 3600
_NO_TRACES: Mapping[str, str] = {}

_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
_decode: Callable[[bytes], dict[str, Any]] = msgspec.msgpack.Decoder(dict[str, Any]).decode

#: KEYS: set of queues; ARGV: time in ms, then queue, id, job for each.
_PUT = f"""
local queued = 0
for i = 2, #ARGV, 3 do
  local queue, id = ARGV[i], ARGV[i + 1]
  if redis.call('EXISTS', '{job_key_prefix}' .. id, '{result_key_prefix}' .. id) == 0 then
    redis.call('SET', '{job_key_prefix}' .. id, ARGV[i + 2])
    redis.call('ZADD', queue, ARGV[1], id)
    redis.call('SADD', KEYS[1], queue)
    queued = queued + 1
  end
end
return queued
"""


class FailedJob(Struct, frozen=True):
    """A job that is not tried any more. ``args`` is JSON; ``at`` is system time."""

    id: str
    job: str
    args: str
    tries: int
    error: str
    at: datetime


def _client(url: str) -> ArqRedis:
    """Not Arq's own settings: they know fewer URLs than redis-py does."""
    return ArqRedis(connections(url), job_serializer=_encode, job_deserializer=_decode)


def _failed_key(queue: str) -> str:
    return f"{queue}:failed"


class ArqQueue(JobQueue):
    """The queues of one deployment: ``<name>:<plugin>`` each, the plugin being the prefix of a job's name."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._redis: Any = _client(url)  # its stubs say of each command that it may be of either colour
        self._put = self._redis.register_script(_PUT)

    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = _NO_TRACES) -> None:
        now = int(datetime.now(UTC).timestamp() * 1000)
        values: list[Any] = [now]
        for job, id_, args in jobs:
            packed = _encode({"t": None, "f": job, "a": (args, traces.get(id_, "")), "k": {}, "et": now})
            values += [_queue(self._name, job), id_, packed]
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
                queue = _queue(self._name, plugin)
                found[plugin] = await self._redis.zcount(queue, "-inf", latest), await self._redis.hlen(_failed_key(queue))
        return found

    async def failed(self) -> list[FailedJob]:
        """What an operator has to look at, oldest first."""
        found = []
        with redis_errors():
            for queue in await self._queues():
                for raw in await self._redis.hvals(_failed_key(queue)):
                    found.append(msgspec.json.decode(raw, type=FailedJob))
        return sorted(found, key=lambda job: job.at)

    async def release(self, id_: str, *, drop: bool = False) -> bool:
        """Queue a failed job again, or forget it. False: there is no such job."""
        with redis_errors():
            for queue in await self._queues():
                raw = await self._redis.hget(_failed_key(queue), id_)
                if raw is not None:
                    job = msgspec.json.decode(raw, type=FailedJob)
                    await self._redis.delete(result_key_prefix + id_, retry_key_prefix + id_)
                    if not drop:
                        await self.put([(job.job, id_, job.args)])
                    await self._redis.hdel(_failed_key(queue), id_)
                    return True
        return False

    async def _queues(self) -> list[str]:
        return sorted(name.decode() for name in await self._redis.smembers(f"{self._name}:queues"))

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)


def _queue(name: str, job: str) -> str:
    return f"{name}:{job.split('.', 1)[0]}"


class ArqWorker:
    """Does the jobs of some plugins, in this process."""

    def __init__(self, url: str, name: str, jobs: Mapping[str, JobFunction], *, lease: float = LEASE_SECONDS) -> None:
        """``jobs`` by name; each is given its arguments as JSON."""
        self._url = url
        self._lease = lease
        self._queues: dict[str, dict[str, JobFunction]] = {}
        for job, function in jobs.items():
            self._queues.setdefault(_queue(name, job), {})[job] = function

    async def run(self) -> None:
        """For ever. What is being done when this is cancelled is done again by whoever comes next."""
        async with asyncio.TaskGroup() as tasks:
            for queue, jobs in self._queues.items():
                tasks.create_task(self._serve(queue, jobs), name=queue)

    async def _serve(self, queue: str, jobs: Mapping[str, JobFunction]) -> None:
        while True:
            try:
                async with _worker(self._url, queue, jobs, self._lease) as worker:
                    await worker.async_run()
            except (RedisError, OSError) as error:
                log.warning("jobs.waiting", queue=queue, cause=type(error).__name__)
                await asyncio.sleep(AWAY_PAUSE)


@contextlib.asynccontextmanager
async def _worker(url: str, queue: str, jobs: Mapping[str, JobFunction], lease: float) -> AsyncIterator[Worker]:
    redis = _client(url)
    try:
        worker = _Worker(redis, queue, jobs, lease)
        try:
            yield worker
        finally:
            await worker.stop()
    finally:
        await redis.aclose(close_connection_pool=True)


class _Worker(Worker):
    """Arq's worker on one queue, with leases that are renewed and a list of what failed."""

    def __init__(self, redis: ArqRedis, queue: str, jobs: Mapping[str, JobFunction], lease: float) -> None:
        super().__init__(
            [func(self._function(name, job), name=name) for name, job in jobs.items()],
            redis_pool=redis,
            queue_name=queue,
            handle_signals=False,
            max_jobs=MAX_JOBS,
            max_tries=len(RETRY_PAUSES) + 1,
            job_timeout=JOB_SECONDS + 60,  # ours comes first: Arq would not try again
            keep_result=KEEP_SECONDS,
            poll_delay=POLL_SECONDS,
            job_serializer=_encode,
            job_deserializer=_decode,
            log_results=False,
        )
        self.in_progress_timeout_s = self._lease = lease
        self._redis: Any = redis

    async def _poll_iteration(self) -> None:
        """Cut short in the middle of a transaction Arq would lose the connection that it watches a key on."""
        iteration = asyncio.ensure_future(super()._poll_iteration())
        try:
            await asyncio.shield(iteration)
        except asyncio.CancelledError:
            self.allow_pick_jobs = False
            await asyncio.wait([iteration], timeout=STOP_SECONDS)
            iteration.cancel()
            await asyncio.gather(iteration, return_exceptions=True)
            raise

    async def stop(self) -> None:
        """End what runs; it is free at once for another worker.

        Only the jobs are cancelled: what Arq does around them has parts that go on after a cancellation, unseen.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while running := [task for task in self.tasks.values() if not task.done()]:
                    for job in self.job_tasks.values():
                        job.cancel()
                    await asyncio.wait(running, timeout=0.02)
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    def _function(self, name: str, job: JobFunction) -> Any:
        took = metrics.Outcomes(metrics.JOB, name.split(".", 1)[0], name, known=("done", "failed"))

        async def traced(args: str, id_: str, parent: str) -> None:
            with (
                tracing.span(f"job {name}", "consumer", parent, {"messaging.message.id": id_}) as trace,
                calls.scope(calls.Call(origin="job", request_id=id_, trace=trace)),
            ):
                async with asyncio.timeout(JOB_SECONDS):
                    await job(args)

        async def run(ctx: dict[str, Any], args: str, trace: str = "") -> None:
            id_, attempt = ctx["job_id"], ctx["job_try"]
            keeping = asyncio.create_task(self._keep(id_))
            began = time.perf_counter()
            try:
                await traced(args, id_, trace)
                took.observe("done", time.perf_counter() - began)
            except asyncio.CancelledError:
                with contextlib.suppress(RedisError, OSError):
                    await self._redis.decr(retry_key_prefix + id_)  # it did not fail
                raise
            except Exception as error:
                took.observe("failed", time.perf_counter() - began)
                log.error("job.failed", job=name, id=id_, attempt=attempt, exc_info=error)
                if attempt <= len(RETRY_PAUSES):
                    raise Retry(RETRY_PAUSES[attempt - 1]) from None
                await self._keep_failed(
                    FailedJob(id_, name, args, attempt, f"{type(error).__name__}: {error}", datetime.now(UTC))
                )
            finally:
                keeping.cancel()

        return run

    async def _keep(self, id_: str) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            with contextlib.suppress(RedisError, OSError):
                await self._redis.pexpire(in_progress_key_prefix + id_, int(self._lease * 1000))

    async def _keep_failed(self, failed: FailedJob) -> None:
        await self._redis.hset(_failed_key(self.queue_name), failed.id, msgspec.json.encode(failed))

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
        """Arq gives up without having called us: no such job here, or its worker was killed at every try."""
        raw = await self._redis.get(job_key_prefix + job_id)
        if raw is not None:
            job = _decode(raw)
            tries = int(await self._redis.get(retry_key_prefix + job_id) or 0) - 1
            error = "no worker knows this job" if job["f"] not in self.functions else "its worker died at each try"
            log.error("job.given_up", job=job["f"], id=job_id, error=error)
            await self._keep_failed(FailedJob(job_id, job["f"], job["a"][0], tries, error, datetime.now(UTC)))
        await super().finish_failed_job(job_id, result_data)
