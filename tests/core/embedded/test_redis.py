from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import redis.asyncio

from marketplace_core.adapters.embedded import EmbeddedError, EmbeddedRedis
from marketplace_core.adapters.redis.native import VARIABLE
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
    monkeypatch.setenv(VARIABLE, str(_says(short_folder / "redis-server", "Redis server v=6.2.14 sha=0 malloc=libc bits=64")))
    with pytest.raises(EmbeddedError, match="written by Redis 7"):
        await EmbeddedRedis(data, "lasting").start()


async def test_the_newest_program_is_taken(data: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's is newer than 7.0 and older than 90: that on the PATH is not started where it is the older one."""
    monkeypatch.setenv("PATH", f"{short_folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(VARIABLE, raising=False)
    _says(short_folder / "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    server = EmbeddedRedis(data, "cache")
    await server.start()
    await server.stop()
    _says(short_folder / "redis-server", "Valkey server v=90.0.0 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    with pytest.raises(EmbeddedError):  # it says its version, and ends
        await server.start(patience=2.0)


def _says(program: Path, version: str) -> Path:
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program
