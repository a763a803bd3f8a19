"""Reviews beside those who know their authors, on a marketplace of the test's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest_asyncio

from marketplace_core.testing.marketplace import Marketplace

Open = Callable[..., Awaitable[Marketplace]]
PLUGINS = ["auth", "users", "reviews"]
QUICK = {"auth": "hash_time = 1\nhash_memory = 1"}


@pytest_asyncio.fixture
async def market(marketplace: Open) -> Marketplace:
    return await marketplace(PLUGINS, settings=QUICK)
