"""Arq queues and workers with one mistake each. A worker is made by ``worker(url)(jobs)``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest
from arq.worker import Worker
from msgspec.structs import replace

from marketplace_core.adapters.arq import ArqQueue, ArqWorker, FailedJob
from marketplace_core.adapters.arq import worker as arq
from marketplace_core.adapters.arq.queue import PackedJob
from marketplace_core.values import new_id

NONE: Mapping[str, str] = {}


class LosesArguments(ArqQueue):
    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = NONE) -> None:
        await super().put([(job, id_, "{}") for job, id_, _ in jobs], traces)


class LosesTraces(ArqQueue):
    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = NONE) -> None:
        await super().put(jobs)


class NamesByMethod(ArqQueue):
    """Jobs of one method name are one."""

    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = NONE) -> None:
        await super().put([(f"acme_x.{job.rpartition('.')[2]}", id_, args) for job, id_, args in jobs], traces)


class QueuesTwice(ArqQueue):
    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = NONE) -> None:
        await super().put([(job, new_id(), args) for job, _, args in jobs], traces)


class CountsWaitingOnly(ArqQueue):
    async def backlog(self, now: datetime) -> int:
        return await super().backlog(now) if not await self._redis.keys("arq:in-progress:*") else 0


class OneQueue(ArqWorker):
    """Takes the jobs of every plugin, also those that it does not know."""

    def __init__(self, url: str, name: str, jobs: Mapping[str, Any], **named: Any) -> None:
        super().__init__(url, name, jobs, **named)
        self._queues = {f"{name}:other": dict(jobs), f"{name}:contract": dict(jobs)}


class TriesOnce(ArqWorker):
    def __init__(self, url: str, name: str, jobs: Mapping[str, Any], **named: Any) -> None:
        tried: set[str] = set()

        def once(job: Any) -> Any:
            async def run(args: str) -> None:
                if args not in tried:
                    tried.add(args)
                    await job(args)

            return run

        super().__init__(url, name, {key: once(job) for key, job in jobs.items()}, **named)


class ForgetsFailures(ArqQueue):
    async def failed(self) -> list[FailedJob]:
        return []


class LosesBytes(ArqQueue):
    async def failed(self) -> list[FailedJob]:
        return [replace(job, payload=None) for job in await super().failed()]


class QueuesWhatFailed(ArqQueue):
    """What failed is as if it had never been."""

    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = NONE) -> None:
        for _, id_, _ in jobs:
            await self._redis.delete(f"arq:result:{id_}")
            await self._redis.hdel(f"{self._name}:contract:failed", id_)
        await super().put(jobs, traces)


class LooksBeforeItReleases(ArqQueue):
    async def release(self, id_: str, *, drop: bool = False) -> bool:
        if not any(job.id == id_ for job in await self.failed()):
            return False
        await super().release(id_, drop=drop)
        return True


class ForgetsLast(ArqQueue):
    """It is queued first and forgotten then, when it may have failed again."""

    async def release(self, id_: str, *, drop: bool = False) -> bool:
        done = await super().release(id_, drop=drop)
        await asyncio.sleep(0.3)
        await self._redis.hdel(f"{self._name}:contract:failed", id_)
        return done


class _Changed(ArqWorker):
    """One method of the Arq worker beneath is another."""

    name: str
    method: Any

    async def run(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arq._Worker, self.name, self.method)
            await super().run()


class DropsUnknownJobs(_Changed):
    name = "finish_failed_job"
    method = staticmethod(Worker.finish_failed_job)


async def _stumble(self: Any, job_id: str, result_data: bytes | None) -> None:
    msgspec.msgpack.decode(await self._redis.get(f"arq:job:{job_id}"), type=PackedJob)


class StumblesOverBytes(_Changed):
    """What cannot be read ends the worker, and the next one."""

    name = "finish_failed_job"
    method = staticmethod(_stumble)


async def _nothing(*_: Any) -> None:
    pass


class KeepsWhatItHas(_Changed):
    """Ends without giving its job back."""

    name = "finish_job"
    method = staticmethod(_nothing)

    def __init__(self, url: str, name: str, jobs: Mapping[str, Any], **named: Any) -> None:
        super().__init__(url, name, jobs, lease=60.0)


class NeverSeesItAgain(ArqWorker):
    """A lease as long as Arq's: a killed worker's job waits for minutes. The process of the test has it too."""

    lease = 310.0
