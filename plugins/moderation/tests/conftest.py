"""Moderation on a marketplace of the test's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest_asyncio

from marketplace_core.testing.marketplace import Marketplace

Open = Callable[..., Awaitable[Marketplace]]
PLUGINS = ["moderation"]


@pytest_asyncio.fixture
async def market(marketplace: Open) -> Marketplace:
    """Its worker does not run: what it tells is seen in its outbox."""
    return await marketplace(PLUGINS, worker=False)
