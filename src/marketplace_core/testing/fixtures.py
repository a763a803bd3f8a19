"""Fixtures on real servers: started once per test run, and an own database or key space for every test."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from marketplace_core.adapters.elasticsearch.native import EmbeddedOpenSearch
    from marketplace_core.adapters.kafka.native import EmbeddedKafka
    from marketplace_core.adapters.mongo import Database as MongoDatabase
    from marketplace_core.adapters.mongo.native import EmbeddedMongo
    from marketplace_core.adapters.postgres import Connection, Database
    from marketplace_core.adapters.redis.clock import RedisClock
    from marketplace_core.adapters.s3.native import EmbeddedMinio
    from marketplace_core.adapters.temporal.native import EmbeddedTemporal
    from marketplace_core.testing.marketplace import Marketplace
    from marketplace_core.testing.servers import Servers
    from marketplace_core.testing.simulators import Simulator

__all__ = [
    "carriers_simulator",
    "database",
    "database_factory",
    "kafka_server",
    "marketplace",
    "marketplace_servers",
    "minio_server",
    "mongo_database",
    "mongo_server",
    "movable_clock",
    "opensearch_server",
    "payments_simulator",
    "redis_cache",
    "redis_cache_url",
    "redis_lasting",
    "redis_lasting_url",
    "short_folder",
    "statements",
    "temporal_server",
]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Not pytest's own folder: this one's path is short, as sockets want it, and PostgreSQL's user may pass it."""
    made = Path(tempfile.mkdtemp(prefix="mp-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def marketplace_servers() -> Iterator[Servers]:
    """One PostgreSQL and two Redis, for this pytest process."""
    from marketplace_core.testing.servers import Servers  # noqa: PLC0415

    servers = Servers()
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest_asyncio.fixture
async def database_factory(
    marketplace_servers: Servers,
) -> AsyncIterator[Callable[[Sequence[str]], Awaitable[Database]]]:
    """``await database_factory(migrations)``: a database of the test's own with core's tables and these SQL scripts."""
    from marketplace_core.adapters.postgres import Database  # noqa: PLC0415

    made: list[Database] = []

    async def make(migrations: Sequence[str] = ()) -> Database:
        made.append(Database(await marketplace_servers.create_database(migrations)))
        return made[-1]

    yield make
    for each in made:
        await each.close()
        marketplace_servers.drop_database(each.dsn)


@pytest_asyncio.fixture
async def database(database_factory: Callable[[Sequence[str]], Awaitable[Database]]) -> Database:
    """A database of the test's own with core's tables."""
    return await database_factory(())


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement to PostgreSQL from now on; begin and commit are not among them."""
    from marketplace_core.adapters.postgres import Connection  # noqa: PLC0415

    seen: list[str] = []

    def noted(real: Any) -> Any:
        async def run(self: Connection, sql: str, *params: Any) -> Any:
            seen.append(sql)
            return await real(self, sql, *params)

        return run

    for name in ("fetch", "execute"):
        monkeypatch.setattr(Connection, name, noted(getattr(Connection, name)))
    return seen


@pytest.fixture
def redis_lasting_url(marketplace_servers: Servers) -> str:
    return marketplace_servers.redis_url(marketplace_servers.lasting)


@pytest.fixture
def redis_cache_url(marketplace_servers: Servers) -> str:
    return marketplace_servers.redis_url(marketplace_servers.cache)


@pytest_asyncio.fixture
async def redis_lasting(redis_lasting_url: str) -> AsyncIterator[Redis]:
    """An empty Redis that loses nothing: for the bus, jobs, carts and sessions."""
    async for client in _empty_redis(redis_lasting_url):
        yield client


@pytest_asyncio.fixture
async def redis_cache(redis_cache_url: str) -> AsyncIterator[Redis]:
    """An empty Redis that may forget: for cached reads."""
    async for client in _empty_redis(redis_cache_url):
        yield client


async def _empty_redis(url: str) -> AsyncIterator[Redis]:
    from marketplace_core.adapters.redis.server import connect  # noqa: PLC0415

    async with connect(url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
def kafka_server() -> EmbeddedKafka:
    """Of the test's group: see :mod:`marketplace_core.testing.native`."""
    from marketplace_core.adapters.kafka.native import EmbeddedKafka  # noqa: PLC0415
    from marketplace_core.testing.native import native_server  # noqa: PLC0415

    return native_server(EmbeddedKafka)


@pytest.fixture
def opensearch_server() -> EmbeddedOpenSearch:
    """Of the test's group: see :mod:`marketplace_core.testing.native`."""
    from marketplace_core.adapters.elasticsearch.native import EmbeddedOpenSearch  # noqa: PLC0415
    from marketplace_core.testing.native import native_server  # noqa: PLC0415

    return native_server(EmbeddedOpenSearch)


@pytest.fixture
def minio_server() -> EmbeddedMinio:
    """Of the test's group: see :mod:`marketplace_core.testing.native`."""
    from marketplace_core.adapters.s3.native import EmbeddedMinio  # noqa: PLC0415
    from marketplace_core.testing.native import native_server  # noqa: PLC0415

    return native_server(EmbeddedMinio)


@pytest.fixture
def mongo_server() -> EmbeddedMongo:
    """Of the test's group: see :mod:`marketplace_core.testing.native`."""
    from marketplace_core.adapters.mongo.native import EmbeddedMongo  # noqa: PLC0415
    from marketplace_core.testing.native import native_server  # noqa: PLC0415

    return native_server(EmbeddedMongo)


@pytest_asyncio.fixture
async def mongo_database(mongo_server: EmbeddedMongo) -> AsyncIterator[MongoDatabase]:
    """A database of the test's own with core's collections."""
    from marketplace_core.adapters.mongo import Database  # noqa: PLC0415
    from marketplace_core.adapters.mongo.migrate import migrate_database  # noqa: PLC0415
    from marketplace_core.values import new_id  # noqa: PLC0415

    made = Database(mongo_server.url(f"t-{new_id()}"))
    await migrate_database(made, {})
    yield made
    await made.drop()
    await made.close()


@pytest.fixture
def temporal_server() -> EmbeddedTemporal:
    """Of the test's group: see :mod:`marketplace_core.testing.native`."""
    from marketplace_core.adapters.temporal.native import EmbeddedTemporal  # noqa: PLC0415
    from marketplace_core.testing.native import native_server  # noqa: PLC0415

    return native_server(EmbeddedTemporal)


@pytest_asyncio.fixture
async def marketplace(marketplace_servers: Servers) -> AsyncIterator[Callable[..., Awaitable[Marketplace]]]:
    """``await marketplace(["catalog", …], runner=…)``: see :func:`marketplace_core.testing.marketplace.open_marketplace`."""
    from marketplace_core.testing.marketplace import open_marketplace  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as stack:

        async def make(plugins: Sequence[str], **options: Any) -> Marketplace:
            return await stack.enter_async_context(open_marketplace(marketplace_servers, plugins, **options))

        yield make


@pytest_asyncio.fixture
async def movable_clock(redis_lasting: Redis) -> AsyncIterator[RedisClock]:
    """The deployment's clock with ``clock = "movable"``: ``await movable_clock.advance(seconds)``."""
    from marketplace_core.adapters.redis.clock import RedisClock  # noqa: PLC0415

    clock = RedisClock(redis_lasting)
    await clock.refresh()
    following = asyncio.create_task(clock.follow())
    yield clock
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
def carriers_simulator(tmp_path: Path) -> Iterator[Simulator]:
    """A carrier; the test starts it: see :mod:`marketplace_core.testing.simulators`."""
    from marketplace_core.testing.simulators import Simulator  # noqa: PLC0415

    simulator = Simulator("carriers", tmp_path)
    yield simulator
    simulator.end()  # in no thread: an engine that has ended took the loop's executor with it


@pytest.fixture
def payments_simulator(tmp_path: Path) -> Iterator[Simulator]:
    """A payment gateway; the test starts it: see :mod:`marketplace_core.testing.simulators`."""
    from marketplace_core.testing.simulators import Simulator  # noqa: PLC0415

    simulator = Simulator("payments", tmp_path)
    yield simulator
    simulator.end()  # in no thread: an engine that has ended took the loop's executor with it
