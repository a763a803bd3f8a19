"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio

from marketplace_core.testing.contracts.reviews import ReviewsContract
from marketplace_core.testing.marketplace import Marketplace

Open = Callable[..., Awaitable[Marketplace]]
PLUGINS = ["auth", "users", "reviews"]
QUICK = {"auth": "hash_time = 1\nhash_memory = 1"}


class TestReviews(ReviewsContract):
    @pytest_asyncio.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Open) -> Marketplace:
        return await marketplace(PLUGINS, runner=request.param, settings=QUICK)
