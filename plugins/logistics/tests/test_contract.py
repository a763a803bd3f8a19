"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.logistics import Logistics
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.logistics import LogisticsContract
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator, as_new, launched
from plugins.logistics.tests.wrong_logistics import MISTAKES

Make = Callable[..., Awaitable[Marketplace]]
PLUGINS = ["logistics", "carriers_simulator"]


def _settings(simulator: Simulator) -> dict[str, str]:
    return {"carriers_simulator": simulator.settings("timeout = 0.6")}


@pytest.fixture(scope="module")
def silent_carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A carrier without webhooks: parcels have numbers of their own."""
    with launched("carriers", tmp_path_factory.mktemp("carrier")) as made:
        yield made


@pytest_asyncio.fixture
async def simulator(silent_carrier: Simulator) -> AsyncIterator[Simulator]:
    async with as_new(silent_carrier):
        yield silent_carrier


class TestLogistics(LogisticsContract):
    @pytest_asyncio.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Make, simulator: Simulator) -> Marketplace:
        return await marketplace(PLUGINS, runner=request.param, settings=_settings(simulator))


@pytest.mark.parametrize(("test", "name"), [(test, name) for test, wrong in MISTAKES.items() for name in wrong])
async def test_the_suite_notices(
    test: str, name: str, marketplace: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = await marketplace(PLUGINS, settings=_settings(simulator))
    right = market.port(Logistics)
    wrong = Wrong(right, MISTAKES[test][name](right, monkeypatch))
    given: dict[str, Any] = {"logistics": wrong, "market": market, "simulator": simulator}
    given |= {"fault": "timeout_after_success", "changes": {"carrier": "own"}}
    await assert_contract_fails(LogisticsContract, test, **fixtures_of(LogisticsContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(LogisticsContract) == set(MISTAKES)
