from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marketplace_core.adapters.embedded import EmbeddedPostgres, EmbeddedRedis


@pytest.fixture
def data(short_folder: Path) -> Path:
    return short_folder / "data"


@pytest.fixture
async def postgres(data: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data, durable=False)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def lasting(data: Path) -> AsyncIterator[EmbeddedRedis]:
    server = EmbeddedRedis(data, "lasting")
    await server.start()
    yield server
    await server.stop()
