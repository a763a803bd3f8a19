from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.embedded import EmbeddedRedis
from marketplace_core.adapters.redis.server import connect

sys.path.insert(0, str(Path(__file__).parent))  # where http_serving is


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """One for all tests of this folder; each begins with it empty."""
    folder = Path(tempfile.mkdtemp(prefix="mp-http-"))
    server = EmbeddedRedis(folder / "data", "cache")
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield server
        runner.run(server.stop())
    shutil.rmtree(folder)


@pytest.fixture
async def redis(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    client = connect(redis_server.url)
    await client.flushall()
    yield client
    await client.aclose()
