"""What every :class:`~marketplace_core.ports.JobQueue` must do, together with the worker that does its jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from marketplace_core import calls
from marketplace_core.ports import FailedJob, JobQueue
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.bus import ConsumerProcess

__all__ = ["FailingQueue", "JobsContract", "MakeWorker", "Spoil", "StartWorker"]

JobFunction = Callable[[str], Awaitable[None]]
#: Makes the loop of a worker that does these jobs.
MakeWorker = Callable[[Mapping[str, JobFunction]], Awaitable[None]]
#: A worker process that takes the job ``contract.hang``, notes it in ``seen`` as ``hang/<arguments>`` and does not end it.
StartWorker = Callable[[], AbstractAsyncContextManager[ConsumerProcess]]
#: What an operator has of a queue.
FailingQueue = JobQueue
#: Puts bytes where a job of the plugin ``contract`` by this id would be, due at once.
Spoil = Callable[[str, bytes], Awaitable[None]]


class Done:
    def __init__(self) -> None:
        self.args: list[str] = []

    async def __call__(self, args: str) -> None:
        self.args.append(args)


class JobsContract:
    """Fixtures: ``queue``; ``spoil``, a :data:`Spoil` of it, and ``spoilt``, what nobody can read; ``make_worker``, a
    :data:`MakeWorker`, whose pauses between tries are some milliseconds, with five tries in all; ``start_worker``, a
    :data:`StartWorker` whose lease is short.
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

    async def test_jobs_of_one_method_name_are_each_their_plugins(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        """Whatever package their code stands in."""
        done = {"acme_x.index": Done(), "acme_y.index": Done()}
        await queue.put([(job, str(number), job) for number, job in enumerate(done)])
        loops = [make_worker({job: function}) for job, function in done.items()]
        async with running(*loops):
            await eventually(lambda: sum(len(each.args) for each in done.values()) >= 2)
        assert {job: each.args for job, each in done.items()} == {job: [job] for job in done}

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

    async def test_what_keeps_failing_is_kept_for_an_operator(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        tries: list[str] = []
        mended = False

        async def bad(args: str) -> None:
            tries.append(args)
            if not mended:
                raise ValueError("for ever")

        await queue.put([("contract.bad", "1", "[7]")])
        async with running(make_worker({"contract.bad": bad})):
            (failed,) = await eventually(queue.failed)
            assert (failed.id, failed.job, failed.args, failed.tries) == ("1", "contract.bad", "[7]", 5)
            assert failed.error == "ValueError: for ever"
            await eventually(_backlog_is(queue, 0))
            assert len(tries) == 5
            mended = True
            assert await queue.release("1")
            await eventually(lambda: len(tries) == 6)
            await eventually(_backlog_is(queue, 0))
            assert await queue.failed() == []
            assert not await queue.release("1")

    async def test_a_job_that_nobody_knows_is_kept(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        await queue.put([("contract.misspelt", "1", "[7]")])
        async with running(make_worker({"contract.one": Done()})):
            (failed,) = await eventually(queue.failed)
        assert (failed.job, failed.args) == ("contract.misspelt", "[7]")
        assert await queue.release("1", drop=True)
        assert await queue.failed() == []
        assert await queue.backlog(datetime.now(UTC)) == 0

    async def test_a_job_that_cannot_be_read_is_kept_as_it_came(
        self, queue: JobQueue, make_worker: MakeWorker, spoil: Spoil, spoilt: Sequence[bytes]
    ) -> None:
        """And others go on, by the same worker."""
        done = Done()
        for number, raw in enumerate(spoilt):
            await spoil(f"bad-{number}", raw)
        await queue.put([("contract.one", "good", "1")])
        async with running(make_worker({"contract.one": done})):
            await eventually(_failures_are(queue, len(spoilt)))
            await eventually(lambda: done.args == ["1"])
            failed = {job.id: job for job in await queue.failed()}
            assert [failed[f"bad-{number}"].payload for number in range(len(spoilt))] == list(spoilt)
            assert {job.job for job in failed.values()} == {"contract.?"}
            assert await queue.release("bad-0")  # for a release that reads it
            await eventually(_failed_again(queue, failed["bad-0"]))
            assert [job.payload for job in await queue.failed() if job.id == "bad-0"] == [spoilt[0]]
            for id_ in failed:
                assert await queue.release(id_, drop=True)
            assert (await queue.failed(), await queue.backlog(datetime.now(UTC))) == ([], 0)
            await queue.put([("contract.one", "after", "2")])
            await eventually(lambda: done.args == ["1", "2"])

    async def test_a_job_that_failed_is_not_queued_again(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        """The relay died before marking it."""
        async with running(make_worker({"contract.one": Done()})):
            for drop in (False, True):
                await queue.put([("contract.misspelt", "1", "[7]")])
                await eventually(_backlog_is(queue, 0))
                assert [job.id for job in await queue.failed()] == ["1"]
                await queue.put([("contract.misspelt", "1", "[7]")])
                assert await queue.backlog(datetime.now(UTC)) == 0
                if drop:
                    assert await queue.release("1", drop=True)
            await queue.put([("contract.misspelt", "1", "[7]")])
            assert (await queue.failed(), await queue.backlog(datetime.now(UTC))) == ([], 0)

    async def test_what_two_ask_for_is_done_once(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        await queue.put([("contract.late", str(number), "") for number in range(8)])
        async with running(make_worker({"contract.one": Done()})):
            await eventually(_failures_are(queue, 8))
        for number in range(8):
            asked = await asyncio.gather(*(queue.release(str(number)) for _ in range(4)))
            assert sorted(asked) == [False, False, False, True]
        assert await queue.backlog(datetime.now(UTC)) == 8
        done = Done()
        async with running(make_worker({"contract.late": done})):
            await eventually(lambda: len(done.args) == 8)
            await eventually(_backlog_is(queue, 0))
        assert (len(done.args), await queue.failed()) == (8, [])

    async def test_what_fails_again_at_once_is_kept_again(self, queue: JobQueue, make_worker: MakeWorker) -> None:
        await queue.put([("contract.misspelt", "1", "[7]")])
        async with running(make_worker({"contract.one": Done()})):
            for _ in range(5):
                (before,) = await eventually(queue.failed)
                assert await queue.release("1")
                await eventually(_failed_again(queue, before))

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


def _failures_are(queue: JobQueue, count: int) -> Callable[[], Awaitable[bool]]:
    async def are_so() -> bool:
        return len(await queue.failed()) == count

    return are_so


def _failed_again(queue: JobQueue, before: FailedJob) -> Callable[[], Awaitable[bool]]:
    async def has() -> bool:
        return any(job.id == before.id and job.at > before.at for job in await queue.failed())

    return has
