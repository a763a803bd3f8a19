"""A marketplace with shelves to fill, and what a worker and a shopper do over and over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from marketplace_recommendations.service import RecommendationsService

from marketplace_core.capabilities.recommendations import Recommendations
from marketplace_core.testing.contracts.recommendations_street import Street
from marketplace_core.testing.marketplace import Marketplace

#: What a loaded machine takes is no reason to show the feed.
SETTINGS = {"recommendations": "linger = 0.02\nfeed_pause = 0.0\npersonal_ms = 5000\nfactors = 0"}
PLUGINS = ["catalog", "cart", "recommendations"]


def service_of(market: Marketplace) -> RecommendationsService:
    service: Any = market.process.service("recommendations")
    assert isinstance(service, RecommendationsService)
    return service


async def learn(market: Marketplace) -> None:
    service = service_of(market)
    await service.train()
    await service.rebuild_feed()


class Bench(Street):
    """A street, with the provider's own service and the rows that it keeps."""

    @property
    def service(self) -> RecommendationsService:
        return service_of(self.market)

    async def rows(self, statement: str, *params: Any) -> list[dict[str, Any]]:
        store: Any = self.service._store
        rows: list[dict[str, Any]] = await store._database.fetch(statement, *params)
        return rows


@pytest.fixture
async def bench(marketplace: Callable[..., Awaitable[Marketplace]]) -> Bench:
    market = await marketplace(PLUGINS, settings=SETTINGS)
    return Bench(market, market.port(Recommendations), lambda: learn(market))
