from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.arq import ArqQueue, ArqWorker
from marketplace_core.adapters.arq import worker as arq
from marketplace_core.adapters.arq.queue import encode
from marketplace_core.testing.contracts import assert_contract_fails, eventually, running
from marketplace_core.testing.contracts.jobs import JobsContract, MakeWorker, Spoil, StartWorker
from tests.contracts import bus_process
from tests.contracts import wrong_jobs as wrong

LEASE = 1.0
PROGRAM = str(Path(__file__).with_name("jobs_process.py"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arq, "RETRY_PAUSES", (0.01, 0.01, 0.01, 0.01))
    monkeypatch.setattr(arq, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(arq, "REST_SECONDS", 0.05)


#: Not MessagePack, cut off, of another shape, of other types: what Arq's own worker ends by, or loses.
SPOILT = [
    b"\xc1",
    encode({"t": None, "f": "contract.one", "a": ["1", ""], "k": {}, "et": 1})[:-3],
    *(
        encode({"t": None, "f": "contract.one", "a": ["1", ""], "k": {}, "et": 1} | change)
        for change in ({"a": []}, {"a": ["1", "", "3"]}, {"a": [1]}, {"f": ["contract.one"]}, {"k": {"more": 1}}, {"et": "1"})
    ),
    encode({"f": "contract.one"}),
    encode([]),
]


async def put_bytes(redis: Any, id_: str, raw: bytes) -> None:
    await redis.set(f"arq:job:{id_}", raw)
    await redis.zadd("jobs:contract", {id_: 1})
    await redis.sadd("jobs:queues", "jobs:contract")


def worker(url: str, kind: type[ArqWorker] = ArqWorker) -> MakeWorker:
    def make(jobs: Mapping[str, Any]) -> Any:
        return kind(url, "jobs", jobs, lease=LEASE).run()

    return make


class TestArq(JobsContract):
    @pytest.fixture
    def queue(self, jobs: ArqQueue) -> ArqQueue:
        return jobs

    @pytest.fixture
    def spoil(self, redis_lasting: Redis) -> Spoil:
        return partial(put_bytes, redis_lasting)

    @pytest.fixture
    def spoilt(self) -> Sequence[bytes]:
        return SPOILT

    @pytest.fixture
    def make_worker(self, redis_lasting_url: str) -> MakeWorker:
        return worker(redis_lasting_url)

    @pytest.fixture
    def start_worker(self, redis_lasting_url: str) -> StartWorker:
        return partial(bus_process.run, PROGRAM, redis_lasting_url, "jobs", str(LEASE))


async def test_a_worker_at_rest_is_told(jobs: ArqQueue, redis_lasting_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is queued, and of what is to be done again."""
    monkeypatch.setattr(arq, "REST_SECONDS", 60.0)
    monkeypatch.setattr(arq, "RETRY_PAUSES", ())
    seen: list[str] = []

    async def do(args: str) -> None:
        seen.append(args)
        if len(seen) == 2:
            raise ValueError

    async with running(worker(redis_lasting_url)({"contract.one": do})):
        for number in ("1", "2"):
            await asyncio.sleep(0.1)  # it rests
            await jobs.put([("contract.one", number, number)])
            await eventually(lambda number=number: number in seen, within=3)
        await eventually(jobs.failed)
        await asyncio.sleep(0.1)
        assert await jobs.release("2")
        await eventually(lambda: seen == ["1", "2", "2"], within=3)


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.LosesArguments, "test_a_job_is_done_with_its_arguments"),
        (wrong.LosesTraces, "test_a_job_belongs_to_the_trace_that_queued_it"),
        (wrong.QueuesTwice, "test_an_id_is_queued_once"),
        (wrong.CountsWaitingOnly, "test_the_backlog_is_what_is_due_or_running"),
        (wrong.OneQueue, "test_a_worker_takes_only_jobs_of_its_plugins"),
        (wrong.NamesByMethod, "test_jobs_of_one_method_name_are_each_their_plugins"),
        (wrong.TriesOnce, "test_what_fails_is_tried_again"),
        (wrong.ForgetsFailures, "test_what_keeps_failing_is_kept_for_an_operator"),
        (wrong.DropsUnknownJobs, "test_a_job_that_nobody_knows_is_kept"),
        (wrong.StumblesOverBytes, "test_a_job_that_cannot_be_read_is_kept_as_it_came"),
        (wrong.LosesBytes, "test_a_job_that_cannot_be_read_is_kept_as_it_came"),
        (wrong.QueuesWhatFailed, "test_a_job_that_failed_is_not_queued_again"),
        (wrong.LooksBeforeItReleases, "test_what_two_ask_for_is_done_once"),
        (wrong.ForgetsLast, "test_what_fails_again_at_once_is_kept_again"),
        (wrong.KeepsWhatItHas, "test_a_worker_that_ends_leaves_its_job_to_the_next"),
        (wrong.NeverSeesItAgain, "test_the_job_of_a_killed_worker_is_done_soon"),
    ],
)
async def test_the_suite_notices(
    mistake: type[Any], test: str, jobs: ArqQueue, redis_lasting: Redis, redis_lasting_url: str
) -> None:
    queue = mistake(redis_lasting_url, "jobs") if issubclass(mistake, ArqQueue) else jobs
    kind: type[ArqWorker] = mistake if issubclass(mistake, ArqWorker) else ArqWorker
    lease = str(getattr(mistake, "lease", LEASE))
    start = partial(bus_process.run, PROGRAM, redis_lasting_url, "jobs", lease)
    fixtures: dict[str, Any] = {
        "queue": queue,
        "spoil": partial(put_bytes, redis_lasting),
        "spoilt": SPOILT,
        "make_worker": worker(redis_lasting_url, kind),
        "start_worker": start,
    }
    names = getattr(JobsContract, test).__annotations__
    try:
        await assert_contract_fails(JobsContract, test, **{key: fixtures[key] for key in fixtures if key in names})
    finally:
        if queue is not jobs:
            await queue.close()
