"""The suite of the capability, over this plugin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from marketplace_core.testing.contracts.recommendations import RecommendationsContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.recommendations.tests.conftest import PLUGINS, SETTINGS, learn


class TestRecommendations(RecommendationsContract):
    @pytest.fixture
    async def market(self, marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
        return await marketplace(PLUGINS, runner="wire", settings=SETTINGS)

    @pytest.fixture
    def learn(self, market: Marketplace) -> Callable[[], Awaitable[None]]:
        return lambda: learn(market)
