"""The catalogue on a PostgreSQL and a Redis of the test's own, over either runner."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from marketplace_catalog import plugin, worker
from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.service import CatalogService
from marketplace_catalog.stores.postgres import PostgresCatalogStore
from marketplace_catalog.stores.postgres_stock import PostgresStockStore
from redis.asyncio import Redis

from marketplace_core._rpc.runners import Runner, run_port
from marketplace_core._runtime.pools import ThreadPool
from marketplace_core.adapters.folder.blobs import FolderBlobs
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.redis.reads import RedisCache
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.http.egress import Egress
from marketplace_core.pictures import Pictures, PictureSizes
from marketplace_core.ports import is_for
from marketplace_core.testing.client import clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id, utc_text
from plugins.catalog.tests.street import Street

DatabaseFactory = Callable[[Sequence[str]], Awaitable[Database]]


class Bench:
    """A service on its own database, and what a worker and a clock would do for it."""

    def __init__(
        self, database: Database, redis: Redis, clock: RedisClock, folder: Path, runner: Runner = "local", **parts: Any
    ) -> None:
        """``parts``: another class of the ``store``, the ``stock`` or the ``service``."""
        self.database = database
        self.clock = clock
        self.egress = Egress("catalog", private=True)
        self.units = PostgresUnits(database, clock, "catalog")
        self.store = parts.get("store", PostgresCatalogStore)(database)
        self.stock = parts.get("stock", PostgresStockStore)(database)
        cache, self.blobs = RedisCache(redis, "catalog"), FolderBlobs(folder)
        self.pool = ThreadPool("pictures", 2)
        pictures = Pictures("catalog", self.blobs, self.pool, lambda: self.egress, PictureSizes())
        make = parts.get("service", CatalogService)
        self.service: CatalogService = make(self.units, self.store, self.stock, cache, pictures, CatalogConfig())
        self.catalog: Catalog = run_port(runner, Catalog, self.service)
        self._sequences = itertools.count(1)

    async def later(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        for schedule in worker.SCHEDULES:
            await schedule.method(self.service)

    async def deliver(self, event: Event) -> None:
        """As the bus does: possibly twice."""
        envelope = Envelope(
            id=new_id(),
            type=event.type,
            version=event.version,
            key=event.key,
            occurred_at=utc_text(self.clock.now()),
            data=msgspec.Raw(encode_data(event)),
            sequence=next(self._sequences),
        )
        handlers = [each for each in worker.SUBSCRIPTIONS if type(event) in each.event_types and is_for(each, event)]
        assert handlers, f"nobody follows {event.type}"
        for handler in handlers * 2:
            await handler(self.service, envelope)

    async def events(self, type_: str = "catalog.product_changed") -> list[dict[str, Any]]:
        """What was emitted, oldest first."""
        rows = await self.database.fetch(
            "SELECT payload FROM marketplace.outbox WHERE kind = 'event' AND type = $1 ORDER BY id", type_
        )
        return [msgspec.json.decode(row["payload"])["data"] for row in rows]


@pytest.fixture(params=["wire"])
def runner(request: pytest.FixtureRequest) -> Runner:
    chosen: Runner = request.param
    return chosen


@pytest_asyncio.fixture
async def catalog_database(database_factory: DatabaseFactory) -> Database:
    return await database_factory(["CREATE SCHEMA catalog;", *(migration.script for migration in plugin.migrations())])


@pytest.fixture
def make_bench(
    catalog_database: Database, redis_cache: Redis, movable_clock: RedisClock, tmp_path: Path
) -> Callable[..., Bench]:
    """``make_bench(runner, stock=…)``."""

    def make(runner: Runner = "local", **parts: Any) -> Bench:
        return Bench(catalog_database, redis_cache, movable_clock, tmp_path, runner, **parts)

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench], runner: Runner) -> Bench:
    return make_bench(runner)


@pytest_asyncio.fixture
async def street(marketplace: Callable[..., Awaitable[Marketplace]]) -> AsyncIterator[Street]:
    settings = {"auth": "hash_time = 1\nhash_memory = 1"}
    market = await marketplace(["auth", "sellers", "catalog"], http=True, settings=settings)
    async with clients(market.url) as make:
        street = Street(market, make)
        await street.open()
        yield street
