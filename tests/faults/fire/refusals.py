"""Servers that answer that they take no writes: PostgreSQL as a standby does, Redis as a replica does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg

from marketplace_core.adapters.redis import connect

__all__ = ["refusing"]


def refusing(server: str, url: str) -> AbstractAsyncContextManager[None]:
    """While it is open, the server at ``url`` takes no writes. ``server``: ``postgres``, or a Redis."""
    refuse: Callable[[str], AbstractAsyncContextManager[None]] = _postgres if server == "postgres" else _redis
    return refuse(url)


@asynccontextmanager
async def _postgres(url: str) -> AsyncIterator[None]:
    """For every transaction that begins, whoever's session it is."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
        await session.execute("SET default_transaction_read_only = off")
        await session.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await session.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            await session.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await session.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[None]:
    """Of a master that is not there: what it has it keeps."""
    async with connect(url) as client:
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            yield
        finally:
            await client.execute_command("REPLICAOF", "NO", "ONE")
