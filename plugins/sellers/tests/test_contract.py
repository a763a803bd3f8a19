"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.sellers import SellersContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.sellers.tests import wrong_sellers, wrong_shops
from plugins.sellers.tests.wrong_sellers import Mistake

MISTAKES = [*wrong_sellers.MISTAKES, *wrong_shops.MISTAKES]
Open = Callable[..., Awaitable[Marketplace]]


class TestSellers(SellersContract):
    @pytest.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Open) -> Marketplace:
        return await marketplace(["catalog", "sellers"], runner=request.param, worker=False)


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: Mistake, test: str, marketplace: Open) -> None:
    market = await marketplace(["catalog", "sellers"], worker=False)
    right: Any = market.port(Sellers)
    given = {"sellers": Wrong(right, mistake(right)), "catalog": market.port(Catalog)}
    await assert_contract_fails(SellersContract, test, **fixtures_of(SellersContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert {test for _, test in MISTAKES} == rules(SellersContract)
