"""What every :class:`~marketplace_core.outbox.JobQueue` must do, together with the worker that does its jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Protocol

from marketplace_core import calls
from marketplace_core.outbox import JobQueue
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.bus import ConsumerProcess

__all__ = ["FailingQueue", "JobsContract", "MakeWorker", "StartWorker"]

JobFunction = Callable[[str], Awaitable[None]]
#: Makes the loop of a worker that does these jobs.
MakeWorker = Callable[[Mapping[str, JobFunction]], Awaitable[None]]
#: A worker process that takes the job ``contract.hang``, notes it in ``seen`` as ``hang/<arguments>`` and does not end it.
StartWorker = Callable[[], AbstractAsyncContextManager[ConsumerProcess]]


class FailingQueue(Protocol):
    """What an operator has beside the port: the jobs that failed for good."""

    async def failed(self) -> list[Any]: ...

    async def release(self, id_: str, *, drop: bool = False) -> bool: ...


class Done:
    def __init__(self) -> None:
        self.args: list[str] = []

    async def __call__(self, args: str) -> None:
        self.args.append(args)


class JobsContract:
    """Fixtures: ``queue``, which is also a :class:`FailingQueue`; ``make_worker``, a :data:`MakeWorker`, whose pauses
    between tries are some milliseconds, with five tries in all; ``start_worker``, a :data:`StartWorker` whose lease is short.
    """

    async def test_a_job_is_done_with_its_arguments(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        one, two = Done(), Done()
        await queue.put([("contract.one", "1", '{"n":"ü"}'), ("contract.two", "2", "{}"), ("contract.one", "3", "{}")])
        async with running(make_worker({"contract.one": one, "contract.two": two})):
            await eventually(lambda: len(one.args) + len(two.args) >= 3)
        assert (sorted(one.args), two.args) == (['{"n":"ü"}', "{}"], ["{}"])

    async def test_a_job_belongs_to_the_trace_that_queued_it(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        seen: dict[str, str | None] = {}

        async def look(args: str) -> None:
            seen[args] = calls.trace_id(calls.current().trace)

        first = f"00-{'4b' * 16}-{'1f' * 8}-00"
        await queue.put([("contract.one", "1", "one"), ("contract.one", "2", "two")], {"1": first})
        async with running(make_worker({"contract.one": look})):
            await eventually(lambda: len(seen) >= 2)
        assert seen["one"] == "4b" * 16
        assert seen["two"] not in {None, "4b" * 16}  # one of its own

    async def test_an_id_is_queued_once(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        done = Done()
        await queue.put([("contract.one", "same", "1")])
        await queue.put([("contract.one", "same", "2"), ("contract.one", "same", "3")])
        async with running(make_worker({"contract.one": done})):
            await eventually(_backlog_is(queue, 0))
            await queue.put([("contract.one", "same", "4"), ("contract.one", "other", "5")])  # the relay died before marking
            await eventually(_backlog_is(queue, 0))
            await eventually(lambda: "5" in done.args)
        assert done.args == ["1", "5"]

    async def test_the_backlog_is_what_is_due_or_running(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def slow(args: str) -> None:
            began.set()
            await go_on.wait()

        assert await queue.backlog(datetime.now(UTC)) == 0
        await queue.put([("contract.slow", "1", ""), ("other.job", "2", "")])
        assert await queue.backlog(datetime.now(UTC)) == 2
        async with running(make_worker({"contract.slow": slow})):
            await eventually(began.is_set)
            assert await queue.backlog(datetime.now(UTC)) == 2
            go_on.set()
            await eventually(_backlog_is(queue, 1))

    async def test_a_worker_takes_only_jobs_of_its_plugins(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        mine, theirs = Done(), Done()
        await queue.put([("other.job", "2", ""), ("contract.one", "1", "")])
        async with running(make_worker({"contract.one": mine})):
            await eventually(lambda: mine.args)
            await asyncio.sleep(0.3)
        async with running(make_worker({"other.job": theirs})):
            await eventually(lambda: theirs.args)

    async def test_what_fails_is_tried_again(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        tries: list[float] = []

        async def flaky(args: str) -> None:
            tries.append(asyncio.get_running_loop().time())
            if len(tries) < 3:
                raise ValueError("not yet")

        await queue.put([("contract.flaky", "1", "")])
        async with running(make_worker({"contract.flaky": flaky})):
            await eventually(lambda: len(tries) == 3)
            await eventually(_backlog_is(queue, 0))
            await asyncio.sleep(0.1)
        assert len(tries) == 3

    async def test_what_keeps_failing_is_kept_for_an_operator(
        self, queue: JobQueue, failing: FailingQueue, make_worker: MakeWorker
    ) -> None:
        tries: list[str] = []
        mended = False

        async def bad(args: str) -> None:
            tries.append(args)
            if not mended:
                raise ValueError("for ever")

        await queue.put([("contract.bad", "1", "[7]")])
        async with running(make_worker({"contract.bad": bad})):
            (failed,) = await eventually(failing.failed)
            assert (failed.id, failed.job, failed.args, failed.tries) == ("1", "contract.bad", "[7]", 5)
            assert failed.error == "ValueError: for ever"
            await eventually(_backlog_is(queue, 0))
            assert len(tries) == 5
            mended = True
            assert await failing.release("1")
            await eventually(lambda: len(tries) == 6)
            await eventually(_backlog_is(queue, 0))
            assert await failing.failed() == []
            assert not await failing.release("1")

    async def test_a_job_that_nobody_knows_is_kept(
        self, queue: JobQueue, failing: FailingQueue, make_worker: MakeWorker
    ) -> None:
        await queue.put([("contract.misspelt", "1", "[7]")])
        async with running(make_worker({"contract.one": Done()})):
            (failed,) = await eventually(failing.failed)
        assert (failed.job, failed.args) == ("contract.misspelt", "[7]")
        assert await failing.release("1", drop=True)
        assert await failing.failed() == []
        assert await queue.backlog(datetime.now(UTC)) == 0

    async def test_a_worker_that_ends_leaves_its_job_to_the_next(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        began = asyncio.Event()
        done = Done()

        async def hang(args: str) -> None:
            began.set()
            await asyncio.Event().wait()

        await queue.put([("contract.job", "1", "")])
        loop = asyncio.get_running_loop()
        for _ in range(6):  # more often than a job may fail
            began.clear()
            async with running(make_worker({"contract.job": hang})):
                await eventually(began.is_set)
                ending = loop.time()
            assert loop.time() - ending < 0.5
        async with running(make_worker({"contract.job": done})):
            await eventually(lambda: done.args)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task for task in others if "arq" in repr(task.get_coro())] == []

    async def test_the_job_of_a_killed_worker_is_done_soon(
        self, queue: JobQueue, make_worker: MakeWorker, start_worker: StartWorker
    ) -> None:
        done = Done()
        async with start_worker() as process:
            await queue.put([("contract.hang", "1", "7")])
            await eventually(lambda: process.seen == ["hang/7"])
            async with running(make_worker({"contract.hang": done})):
                await asyncio.sleep(2.0)
                assert done.args == []  # it is still at work, for longer than a lease
                await process.kill()
                await eventually(lambda: done.args == ["7"], within=5.0)


def _backlog_is(queue: JobQueue, count: int) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return await queue.backlog(datetime.now(UTC)) == count

    return is_so
