"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.adapters.mongo import Database
from marketplace_core.capabilities.payments import Payments
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.payments import PaymentsContract
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator, as_new
from plugins.payments.tests.wrong_payments import MISTAKES

Make = Callable[..., Awaitable[Marketplace]]
PLUGINS = ["payments", "payments_simulator"]
ASKS_LATER = "ask_seconds = 600\nunknown_seconds = 600\n"


def _settings(simulator: Simulator) -> dict[str, str]:
    """Nobody is asked by himself while a test runs, however long that takes."""
    return {"payments_simulator": simulator.settings("timeout = 0.6"), "payments": ASKS_LATER}


@pytest_asyncio.fixture
async def simulator(silent_gateway: Simulator) -> AsyncIterator[Simulator]:
    async with as_new(silent_gateway):
        yield silent_gateway


class TestPayments(PaymentsContract):
    @pytest_asyncio.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Make, simulator: Simulator) -> Marketplace:
        return await marketplace(PLUGINS, runner=request.param, settings=_settings(simulator))


@pytest.mark.xdist_group("mongo")
class TestPaymentsInMongo(PaymentsContract):
    """The ledger stays in PostgreSQL, so that it hears of payments from another server."""

    @pytest_asyncio.fixture
    async def market(self, mongo_database: Database, marketplace: Make, simulator: Simulator) -> Marketplace:
        where = 'store = "mongo"\non = { payments = "documents", ledger = "main" }'
        settings = {**_settings(simulator), "payments": where + "\n" + ASKS_LATER}
        return await marketplace(PLUGINS, settings=settings, resources={"documents": mongo_database.url})


@pytest.mark.parametrize(("test", "name"), [(test, name) for test, wrong in MISTAKES.items() for name in wrong])
async def test_the_suite_notices(
    test: str, name: str, marketplace: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = await marketplace(PLUGINS, settings=_settings(simulator))
    right = market.port(Payments)
    wrong = Wrong(right, MISTAKES[test][name](right, monkeypatch))
    given: dict[str, Any] = {"payments": wrong, "market": market, "simulator": simulator, "token": "tok_ok"}
    given |= {"fault": "timeout_after_success", "amount": 1002, "currency": "EUR", "outcome": "succeed"}
    given |= {"status": "authorized", "failure": "payments.action_expired"}
    await assert_contract_fails(PaymentsContract, test, **fixtures_of(PaymentsContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(PaymentsContract) == set(MISTAKES)
