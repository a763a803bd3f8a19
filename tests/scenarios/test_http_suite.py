"""The suite of what every provider of a capability answers over HTTP, over our own, each in processes of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from marketplace_core.testing.contracts.http import ROUTES, HttpContract
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.servers import Servers
from tests.scenarios.conftest import TAKE_TURNS, shared

pytestmark = TAKE_TURNS


class TestOurPlugins(HttpContract):
    capabilities = tuple(sorted({route.tag for route in ROUTES}))

    @pytest_asyncio.fixture
    async def market(self, marketplace_servers: Servers) -> AsyncIterator[Marketplace]:
        async with shared(marketplace_servers) as opened:
            yield opened.market


def test_every_capability_that_has_routes_is_asked() -> None:
    assert len(TestOurPlugins.capabilities) == 14
