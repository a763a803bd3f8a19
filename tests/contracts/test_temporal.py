"""The suite of saga engines on Temporal, and what is Temporal's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.temporal.engine import TemporalSagas
from marketplace_core.adapters.temporal.native import EmbeddedTemporal
from marketplace_core.adapters.temporal.opening import TemporalServer
from marketplace_core.adapters.temporal.steps import TemporalSteps
from marketplace_core.capabilities import capability_of
from marketplace_core.ports.engine import Journal
from marketplace_core.sagas import Performer, Saga
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.sagas_acts import Acts, Began, StartRunner, straight
from marketplace_core.testing.contracts.sagas_runner import EngineContract, EngineRunner, MakeEngine, PostgresActs
from marketplace_core.values import Clock, new_id
from tests.contracts import bus_process
from tests.contracts.temporal_runner import make

pytestmark = pytest.mark.xdist_group("temporal")

PROGRAM = str(Path(__file__).with_name("temporal_runner.py"))


@pytest.fixture
async def url(temporal_server: EmbeddedTemporal) -> str:
    """Of a namespace of the test's own: the suite's sagas are called alike."""
    client, name = await Client.connect(temporal_server.address), new_id()
    request = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86400))
    await client.workflow_service.register_namespace(request, timeout=timedelta(seconds=10))
    return temporal_server.url(name)


class TestTemporal(EngineContract):
    @pytest.fixture
    def make_engine(self, url: str) -> MakeEngine:
        return partial(make, url)

    @pytest.fixture
    def start_runner(self, url: str, database: Database, redis_lasting_url: str) -> StartRunner:
        return partial(bus_process.run, PROGRAM, url, database.dsn, redis_lasting_url)


async def test_a_service_performs_its_own_steps(url: str, database: Database, movable_clock: RedisClock) -> None:
    """Whoever runs the sagas has no such port. While nobody serves it a step waits; one whose performer ends is done again."""
    acts = PostgresActs(database, movable_clock)
    await acts.prepare()
    name = capability_of(Acts)

    def made(_: Database, sagas: Sequence[Saga], __: Performer, clock: Clock, journal: Journal) -> TemporalSagas:
        nothing: dict[str, object] = {}
        return TemporalSagas(TemporalServer(url), sagas, Performer(lambda: nothing), clock, journal, served=[name])

    async def serve() -> None:
        await TemporalSteps(TemporalServer(url), [name], Performer(lambda: {name: acts})).run()

    await acts.fail("s1", "do first", "lose", 2)
    await acts.fail("s1", "do first!", "hang")
    runner = EngineRunner(made, database, acts, movable_clock)
    async with runner.running():
        await runner.start(straight, Began(id="s1"))
        assert await runner.engine.tries("s1") == {}
        assert await acts.keys("s1", "do first") == []
        serving = asyncio.create_task(serve())
        await eventually(lambda: acts.keys("s1", "do first!"))
        tries = await runner.engine.tries("s1")
        assert tries == {}  # the first one of this step has not ended
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

        async def told() -> bool:
            tried = (await runner.engine.tries("s1")).get("2:do")
            return tried is not None and tried.attempts == 1 and tried.at.tzinfo is not None

        await eventually(told)
        serving = asyncio.create_task(serve())

        async def done() -> bool:
            return await runner.status("s1") == "done"

        await eventually(done)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert await acts.done("s1") == ["do first", "do first!", "do "]
    assert len(await acts.keys("s1", "do first")) == 3
    assert len(set(await acts.keys("s1", "do first!"))) == 1 < len(await acts.keys("s1", "do first!"))
