"""Does the jobs of some plugins: Arq's worker, with leases that are renewed and a list of what failed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix, retry_key_prefix
from arq.worker import Retry, Worker, func
from redis.exceptions import RedisError

from marketplace_core import calls, metrics, tracing
from marketplace_core.adapters.arq.queue import client, decode, encode, failed_key, queue_of, told_key
from marketplace_core.ports import FailedJob

__all__ = ["ArqWorker"]

log = structlog.get_logger("marketplace.jobs")

JobFunction = Callable[[str], Awaitable[None]]

#: Between two looks at the queue while something is being done, or is another's.
POLL_SECONDS = 0.2
#: Without a word a worker at rest looks only so often, or when a job comes due that waits for its next try: a word is lost with
#: the worker that heard it. Shorter than an answer may take.
REST_SECONDS = 4.0
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


class ArqWorker:
    """Does the jobs of some plugins, in this process."""

    def __init__(self, url: str, name: str, jobs: Mapping[str, JobFunction], *, lease: float = LEASE_SECONDS) -> None:
        """``jobs`` by name; each is given its arguments as JSON."""
        self._url = url
        self._lease = lease
        self._queues: dict[str, dict[str, JobFunction]] = {}
        for job, function in jobs.items():
            self._queues.setdefault(queue_of(name, job), {})[job] = function

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
    redis = client(url)
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
            job_serializer=encode,
            job_deserializer=decode,
            log_results=False,
        )
        self.in_progress_timeout_s = self._lease = lease
        self._redis: Any = redis
        self._given_up: dict[str, FailedJob] = {}

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
        if not self.tasks:
            await self._rest()

    async def _rest(self) -> None:
        """Until a job is queued or comes due."""
        first = await self._redis.zrange(self.queue_name, 0, 0, withscores=True)
        seconds = min(first[0][1] / 1000 - time.time(), REST_SECONDS) if first else REST_SECONDS
        if seconds > POLL_SECONDS:
            await self._redis.blpop([told_key(self.queue_name)], timeout=seconds)

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
                cause = f"{type(error).__name__}: {error}"
                self._given_up[id_] = FailedJob(id_, name, args, attempt, cause, datetime.now(UTC))
            finally:
                keeping.cancel()

        return run

    async def _keep(self, id_: str) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            with contextlib.suppress(RedisError, OSError):
                await self._redis.pexpire(in_progress_key_prefix + id_, int(self._lease * 1000))

    async def _keep_failed(self, failed: FailedJob) -> None:
        """It leaves the queue as it comes among the failed: in between a person could have it run again, and lose it."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(failed_key(self.queue_name), failed.id, msgspec.json.encode(failed))
            pipe.set(result_key_prefix + failed.id, b"", ex=KEEP_SECONDS)
            pipe.delete(*(prefix + failed.id for prefix in (in_progress_key_prefix, job_key_prefix, retry_key_prefix)))
            pipe.zrem(self.queue_name, failed.id)
            await pipe.execute()

    async def finish_job(self, job_id: str, finish: bool, *rest: Any) -> None:
        failed = self._given_up.pop(job_id, None)
        if failed is None:
            await super().finish_job(job_id, finish, *rest)
        else:
            await self._keep_failed(failed)

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
        """Arq gives up without having called us: what it has cannot be read, no such job is here, or its worker was killed at
        every try."""
        raw = await self._redis.get(job_key_prefix + job_id)
        if raw is None:
            await super().finish_failed_job(job_id, result_data)
            return
        tries = int(await self._redis.get(retry_key_prefix + job_id) or 1) - 1
        failed = self._unread(job_id, raw, tries)
        log.error("job.given_up", job=failed.job, id=job_id, error=failed.error)
        await self._keep_failed(failed)

    def _unread(self, job_id: str, raw: bytes, tries: int) -> FailedJob:
        now = datetime.now(UTC)
        try:
            job = decode(raw)
        except msgspec.MsgspecError as error:
            name = f"{self.queue_name.rsplit(':', 1)[-1]}.?"
            return FailedJob(job_id, name, "", tries, f"it cannot be read: {error}", now, payload=raw)
        cause = "its worker died at each try" if job["f"] in self.functions else "no worker knows this job"
        return FailedJob(job_id, job["f"], job["a"][0], tries, cause, now)
