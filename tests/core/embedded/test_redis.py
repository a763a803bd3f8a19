from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import redis.asyncio

from marketplace_core.adapters.embedded import EmbeddedError, EmbeddedRedis
from tests.core.embedded.programs import client, kill


async def test_every_acknowledged_write_survives_a_killed_redis(lasting: EmbeddedRedis) -> None:
    acknowledged = 0

    async def write() -> None:
        nonlocal acknowledged
        async with client(lasting) as connection:
            while True:
                acknowledged = await connection.incr("count")
                await connection.xadd("orders", {"number": acknowledged})

    writer = asyncio.create_task(write())
    await asyncio.sleep(0.3)
    await kill(lasting)
    with pytest.raises(redis.exceptions.ConnectionError):
        await writer
    await lasting.start()
    async with client(lasting) as connection:
        assert acknowledged > 10
        assert int(await connection.get("count")) >= acknowledged
        assert await connection.xlen("orders") >= acknowledged - 1
        assert await connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


async def test_a_half_written_tail_is_dropped(lasting: EmbeddedRedis, data: Path) -> None:
    async with client(lasting) as connection:
        await connection.set("whole", "yes")
    await kill(lasting)
    written = [path for path in (data / "redis-lasting").rglob("*") if b"whole" in read(path)]
    with written[0].open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nhal")
    await lasting.start()
    async with client(lasting) as connection:
        assert await connection.keys() == ["whole"]


def read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


async def test_the_cache_keeps_nothing(data: Path) -> None:
    cache = EmbeddedRedis(data, "cache", settings={"maxmemory": "32mb"})
    await cache.start()
    async with client(cache) as connection:
        await connection.set("a", "b")
        settings = await connection.config_get("maxmemory*")
        assert settings["maxmemory"] == str(32 << 20)
        assert settings["maxmemory-policy"] == "allkeys-lru"
    await cache.stop()
    await cache.start()
    async with client(cache) as connection:
        assert await connection.keys() == []
    await cache.stop()


async def test_files_of_a_later_redis_are_refused_by_an_earlier(
    data: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "redis-lasting" / "appendonlydir").mkdir(parents=True)
    old = short_folder / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0 malloc=libc bits=64'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{short_folder}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(EmbeddedError, match="written by Redis 7"):
        await EmbeddedRedis(data, "lasting").start()
