"""The servers of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace_core._runtime.resources import Resources
from marketplace_core.adapters.postgres import Database
from marketplace_core.deployment import Deployment, Resource


def open_database(resources: Resources, name: str) -> None:
    resources.database(name)


def open_redis(resources: Resources, name: str) -> None:
    resources.redis(name)


@pytest.mark.parametrize("more", [open_database, open_redis])
async def test_readiness_can_be_asked_while_more_is_opened(
    more: Callable[[Resources, str], None], database: Database, redis_lasting_url: str
) -> None:
    """A worker's parts open their servers as they begin, while whoever started it waits to hear that it is ready."""
    kind = database.dsn if more is open_database else redis_lasting_url
    name = "postgres" if more is open_database else "redis"
    both = {each: Resource(name=each, url=kind, kind=name) for each in ("first", "second")}
    deployment = Deployment(file=Path("shop.toml"), name="shop", currency="EUR", resources=both)
    resources = Resources(deployment, lambda _: kind)
    more(resources, "first")
    asking = asyncio.create_task(resources.ready())
    await asyncio.sleep(0)
    more(resources, "second")
    assert await asking == {"first": "ok"}
    assert await resources.ready() == {"first": "ok", "second": "ok"}
    await resources.close()
