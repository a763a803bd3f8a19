from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from marketplace_core.adapters.arq import ArqQueue, ArqWorker
from marketplace_core.adapters.arq import worker as arq
from marketplace_core.testing.contracts import assert_contract_fails
from marketplace_core.testing.contracts.jobs import JobsContract, MakeWorker, StartWorker
from tests.contracts import bus_process
from tests.contracts import wrong_jobs as wrong

LEASE = 1.0
PROGRAM = str(Path(__file__).with_name("jobs_process.py"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arq, "RETRY_PAUSES", (0.01, 0.01, 0.01, 0.01))
    monkeypatch.setattr(arq, "POLL_SECONDS", 0.02)


def worker(url: str, kind: type[ArqWorker] = ArqWorker) -> MakeWorker:
    def make(jobs: Mapping[str, Any]) -> Any:
        return kind(url, "jobs", jobs, lease=LEASE).run()

    return make


class TestArq(JobsContract):
    @pytest.fixture
    def queue(self, jobs: ArqQueue) -> ArqQueue:
        return jobs

    @pytest.fixture
    def failing(self, jobs: ArqQueue) -> ArqQueue:
        return jobs

    @pytest.fixture
    def make_worker(self, redis_lasting_url: str) -> MakeWorker:
        return worker(redis_lasting_url)

    @pytest.fixture
    def start_worker(self, redis_lasting_url: str) -> StartWorker:
        return partial(bus_process.run, PROGRAM, redis_lasting_url, "jobs", str(LEASE))


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (wrong.LosesArguments, "test_a_job_is_done_with_its_arguments"),
        (wrong.LosesTraces, "test_a_job_belongs_to_the_trace_that_queued_it"),
        (wrong.QueuesTwice, "test_an_id_is_queued_once"),
        (wrong.CountsWaitingOnly, "test_the_backlog_is_what_is_due_or_running"),
        (wrong.OneQueue, "test_a_worker_takes_only_jobs_of_its_plugins"),
        (wrong.TriesOnce, "test_what_fails_is_tried_again"),
        (wrong.ForgetsFailures, "test_what_keeps_failing_is_kept_for_an_operator"),
        (wrong.DropsUnknownJobs, "test_a_job_that_nobody_knows_is_kept"),
        (wrong.KeepsWhatItHas, "test_a_worker_that_ends_leaves_its_job_to_the_next"),
        (wrong.NeverSeesItAgain, "test_the_job_of_a_killed_worker_is_done_soon"),
    ],
)
async def test_the_suite_notices(mistake: type[Any], test: str, jobs: ArqQueue, redis_lasting_url: str) -> None:
    queue = mistake(redis_lasting_url, "jobs") if issubclass(mistake, ArqQueue) else jobs
    kind: type[ArqWorker] = mistake if issubclass(mistake, ArqWorker) else ArqWorker
    lease = str(getattr(mistake, "lease", LEASE))
    start = partial(bus_process.run, PROGRAM, redis_lasting_url, "jobs", lease)
    fixtures: dict[str, Any] = {
        "queue": queue,
        "failing": queue,
        "make_worker": worker(redis_lasting_url, kind),
        "start_worker": start,
    }
    names = getattr(JobsContract, test).__annotations__
    try:
        await assert_contract_fails(JobsContract, test, **{key: fixtures[key] for key in fixtures if key in names})
    finally:
        if queue is not jobs:
            await queue.close()
