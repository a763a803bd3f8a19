"""The suite of saga engines on Temporal, and what is Temporal's own."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.temporal.native import EmbeddedTemporal
from marketplace_core.testing.contracts.sagas_acts import StartRunner
from marketplace_core.testing.contracts.sagas_runner import EngineContract, MakeEngine
from marketplace_core.values import new_id
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
