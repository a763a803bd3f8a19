"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.cart import CartContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.cart.tests import wrong_cart, wrong_guests

Make = Callable[..., Awaitable[Marketplace]]
PLUGINS = ["catalog", "cart"]
MISTAKES = {**wrong_cart.MISTAKES, **wrong_guests.MISTAKES}
SETTINGS = {"cart": "line_limit = 60\nquantity_limit = 50"}


class SmallCarts(CartContract):
    line_limit, quantity_limit = 60, 50


class TestCart(SmallCarts):
    @pytest.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Make) -> Marketplace:
        return await marketplace(PLUGINS, runner=request.param, settings=SETTINGS, worker=False)


@pytest.mark.parametrize(("test", "mistake"), [(test, one) for test, wrong in MISTAKES.items() for one in wrong])
async def test_the_suite_notices(
    test: str, mistake: wrong_cart.Mistake, marketplace: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = await marketplace(PLUGINS, settings=SETTINGS, worker=False)
    right, catalog = market.port(Cart), market.port(Catalog)
    wrong = Wrong(right, mistake(right, catalog))
    given = {"cart": wrong, "catalog": catalog, "monkeypatch": monkeypatch, "who": "account"}
    await assert_contract_fails(SmallCarts, test, **fixtures_of(SmallCarts, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(CartContract) == set(MISTAKES)
