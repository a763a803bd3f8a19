"""Embedded servers seen from outside: who asks them, who starts them, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psqlpy
import psutil
import redis.asyncio

from marketplace_core.adapters.embedded import EmbeddedPostgres, EmbeddedRedis

ROOT = os.geteuid() == 0


STARTER = """
import asyncio, signal, sys
from pathlib import Path
from marketplace_core.adapters.embedded import EmbeddedPostgres, EmbeddedRedis

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: print("heard", flush=True))
    data = Path(sys.argv[1])
    redis = EmbeddedRedis(data, "lasting"), EmbeddedRedis(data, "cache")
    servers = EmbeddedPostgres(data, durable=False), *redis
    await asyncio.gather(*(server.start() for server in servers))
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def ask(dsn: str, *statements: str) -> object:
    pool = psqlpy.ConnectionPool(dsn=dsn, max_db_pool_size=2)
    try:
        async with pool.acquire() as connection:
            for statement in statements:
                rows = (await connection.execute(statement)).result()
        return next(iter(rows[0].values())) if rows else None
    finally:
        pool.close()


@contextlib.asynccontextmanager
async def client(server: EmbeddedRedis) -> AsyncIterator[redis.asyncio.Redis]:
    connection = redis.asyncio.Redis.from_url(server.url, decode_responses=True)
    try:
        yield connection
    finally:
        await connection.aclose()


@contextlib.asynccontextmanager
async def starter(data: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTER, str(data)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        await until_no_servers(data)


def servers(data: Path) -> list[psutil.Process]:
    """Those that work below the folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(data.resolve()):
                found.append(process)
    return found


async def until_no_servers(data: Path, seconds: float = 3.0) -> None:
    deadline = time.monotonic() + seconds
    while left := servers(data):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.02)


def matching(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def kill(server: EmbeddedPostgres | EmbeddedRedis) -> None:
    assert server.child is not None
    server.child.kill()
    await server.child.wait()
