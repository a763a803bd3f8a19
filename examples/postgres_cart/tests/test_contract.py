"""Core's suite of the capability, over this plugin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from marketplace_core.testing.contracts.cart import CartContract
from marketplace_core.testing.contracts.http import HttpContract
from marketplace_core.testing.marketplace import Marketplace


class TestPostgresCart(CartContract):
    line_limit, quantity_limit = 60, 50

    @pytest.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
        return await marketplace(
            ["catalog", "postgres_cart"],
            runner=request.param,
            settings={"postgres_cart": "line_limit = 60\nquantity_limit = 50"},
            worker=False,
        )


class TestHttp(HttpContract):
    capabilities = ("cart",)

    @pytest.fixture
    async def market(self, marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
        return await marketplace(["auth", "catalog", "postgres_cart"], http=True, worker=False)
