"""One chdb for all tests of the module: a process may open one folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import pytest_asyncio
from marketplace_analytics.config import AnalyticsConfig
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.stores.clickhouse import ClickHouseStore

from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.values import SystemClock, new_id


@pytest.fixture(scope="module")
def chdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    client = ClickHouse(f"chdb://{tmp_path_factory.mktemp('chdb')}")
    yield client
    asyncio.run(client.close())


@pytest_asyncio.fixture
async def store(chdb: ClickHouse) -> ClickHouseStore:
    """Without any event."""
    made = ClickHouseStore(chdb)
    await made.clear()
    return made


@pytest.fixture
def service(store: ClickHouseStore) -> AnalyticsService:
    return AnalyticsService(store, SystemClock(), new_id().encode(), "EUR", AnalyticsConfig())
