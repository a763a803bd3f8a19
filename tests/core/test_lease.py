"""What only one process may do at a time is done by whoever has its lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.lease import lease
from marketplace_core.errors import Unavailable
from marketplace_core.testing.contracts import eventually


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Database]:
    """The same database, as another process has it."""
    other = Database(database.dsn)
    yield other
    await other.close()


class Holder:
    """Takes the lease and keeps it until it is cancelled, or loses it."""

    def __init__(self, database: Database, name: str = "engine") -> None:
        self.holds = False
        self.task = asyncio.create_task(self._hold(database, name))

    async def _hold(self, database: Database, name: str) -> None:
        async with lease(database, name) as watch:
            self.holds = True
            try:
                await watch
            finally:
                self.holds = False

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def end_sessions(database: Database, *, waiters: bool) -> None:
    """Those that hold the lease, or all others."""
    await database.fetch(
        "SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity AS a"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND $1 <> EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND locktype = 'advisory')",
        waiters,
    )


async def test_one_holds_it_and_the_next_takes_over(database: Database, other: Database) -> None:
    first = Holder(database)
    await eventually(lambda: first.holds)
    second, elsewhere = Holder(other), Holder(other, "another")
    await eventually(lambda: elsewhere.holds)
    await asyncio.sleep(1.2)
    assert first.holds and not second.holds
    await first.leave()
    await eventually(lambda: second.holds)
    await second.leave()
    await elsewhere.leave()


async def test_who_loses_it_is_told_and_the_next_takes_over(database: Database, other: Database, another: Database) -> None:
    first = Holder(database)
    await eventually(lambda: first.holds)
    second = Holder(other)
    await asyncio.sleep(0.7)
    await end_sessions(another, waiters=False)
    await eventually(lambda: second.holds)
    await asyncio.wait([first.task], timeout=5)
    assert isinstance(first.task.exception(), Unavailable)
    await second.leave()


async def test_who_waits_waits_while_the_database_is_away(database: Database, other: Database, another: Database) -> None:
    first = Holder(database)
    await eventually(lambda: first.holds)
    second = Holder(other)
    await asyncio.sleep(0.7)
    await end_sessions(another, waiters=True)
    await asyncio.sleep(1.2)
    assert first.holds and not second.task.done()
    await first.leave()
    await eventually(lambda: second.holds)
    await second.leave()


@pytest.fixture
async def another(database: Database) -> AsyncIterator[Database]:
    """For whoever looks at the others' sessions."""
    another = Database(database.dsn)
    yield another
    await another.close()
