"""A marketplace that does nothing costs nothing: processes wait to be told, and do not look again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core.adapters.postgres.server import Connection
from marketplace_core.adapters.redis.server import connect
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.shop import PLUGINS

SECONDS = 6.0
#: A lease that is held by asking, deadlines of sagas, schedules that are due each minute: of all plugins together.
MOST_STATEMENTS = 8.0
#: Blocking reads of each group, leases of partitions: also those of the server's other databases.
MOST_COMMANDS = 90.0

Open = Callable[..., Awaitable[Marketplace]]


@pytest.mark.behaviour("all-11")
async def test_a_worker_at_rest_asks_its_servers_nearly_nothing(marketplace: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    market = await marketplace(PLUGINS)
    await market.settle()
    await asyncio.sleep(2)  # what begins with the process has begun
    asked, ask = 0, Connection._ask

    async def counted(self: Connection, act: Any, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await ask(self, act, *args)

    monkeypatch.setattr(Connection, "_ask", counted)
    async with connect(market.urls["lasting"]) as redis:
        before = (await redis.info("stats"))["total_commands_processed"]
        await asyncio.sleep(SECONDS)
        commands = (await redis.info("stats"))["total_commands_processed"] - before
    assert 0 < asked / SECONDS < MOST_STATEMENTS
    assert commands / SECONDS < MOST_COMMANDS
