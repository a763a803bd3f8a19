"""What is done to a server while it runs: it takes no writes, as a standby or a replica, or its tables are locked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg

from marketplace_core.adapters.redis.server import connect

__all__ = ["ACTS"]


@asynccontextmanager
async def _standby(url: str) -> AsyncIterator[None]:
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
async def _locked(url: str) -> AsyncIterator[None]:
    """The outbox, into which everything writes: as somebody does who changes a table by hand."""
    async with await psycopg.AsyncConnection.connect(url) as session:
        await session.execute("LOCK TABLE marketplace.outbox IN ACCESS EXCLUSIVE MODE")
        yield
        await session.rollback()


@asynccontextmanager
async def _replica(url: str) -> AsyncIterator[None]:
    """Of a master that is not there: what it has it keeps."""
    async with connect(url) as client:
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            yield
        finally:
            await client.execute_command("REPLICAOF", "NO", "ONE")


#: By the name of the fault: for as long as it is open, at the server of that URL.
ACTS: dict[str, Callable[[str], AbstractAsyncContextManager[None]]] = {
    "refuse postgres": _standby,
    "refuse redis-lasting": _replica,
    "refuse redis-cache": _replica,
    "lock postgres": _locked,
}
