"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from marketplace_core._rpc.runners import run_port
from marketplace_core.capabilities.orchestrator import Orchestrator
from marketplace_core.events import Event
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, rules
from marketplace_core.testing.contracts.orchestrator import SAGAS, Acts, OrchestratorContract, Stage
from plugins.orchestrator.tests.wrong_orchestrator import MISTAKES, Mistake


class Rehearsed(Stage):
    """The suite's sagas on the stage of this plugin's own tests."""

    def __init__(self, bench: Any, orchestrator: Any) -> None:
        self._bench, self._orchestrator = bench, orchestrator
        self.acts: Acts = bench.acts

    @property
    def orchestrator(self) -> Orchestrator:
        port: Orchestrator = self._orchestrator
        return port

    async def hear(self, happened: Event) -> None:
        await self._bench.hear(happened)

    async def later(self, seconds: float) -> None:
        await self._bench.clock.advance(seconds)


@pytest.fixture
async def bench(stage: Any) -> AsyncIterator[Any]:
    stage.sagas = {saga.name: saga for saga in SAGAS}
    async with stage.running(*stage.sagas):
        yield stage


class TestOrchestrator(OrchestratorContract):
    @pytest.fixture(params=["local", "wire"])
    def stage(self, request: pytest.FixtureRequest, bench: Any) -> Stage:
        return Rehearsed(bench, run_port(request.param, Orchestrator, bench.service))


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: Mistake, test: str, bench: Any) -> None:
    wrong = Wrong(bench.service, mistake(bench.service))
    await assert_contract_fails(OrchestratorContract, test, stage=Rehearsed(bench, wrong))


def test_every_rule_is_broken_once() -> None:
    assert {test for _, test in MISTAKES} == rules(OrchestratorContract)
