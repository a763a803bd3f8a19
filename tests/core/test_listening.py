"""Being told of rows that change, by PostgreSQL's NOTIFY."""

from __future__ import annotations

import asyncio

import pytest

from marketplace_core.adapters.postgres import Database, listening
from marketplace_core.testing.contracts import eventually

SELECT_ONE = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def told(event: asyncio.Event, seconds: float = 5.0) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def tell(database: Database, key: str) -> None:
    await database.execute("SELECT pg_notify('things', $1)::text", key)


@pytest.mark.behaviour("all-11")
async def test_who_waits_for_a_row_is_told_of_its_changes_and_of_no_other(database: Database) -> None:
    things = database.listening("things")
    async with things.changes("a") as a, things.changes("a") as also, things.changes("b") as b:
        await tell(database, "a")
        assert await told(a) and await told(also)
        a.clear()
        await tell(database, "b")
        assert await told(b)
        assert not a.is_set()
    assert not things._waiting, "who went away is waited for no more"


async def test_many_wait_over_one_session(database: Database) -> None:
    things = database.listening("things")
    assert things is database.listening("things")

    async def wait(key: str) -> bool:
        async with things.changes(key) as event:
            return await told(event)

    waiting = [asyncio.create_task(wait(str(number % 10))) for number in range(200)]
    await asyncio.sleep(0)
    async with things.changes("ready"):
        pass
    before = await sessions(database)
    for number in range(10):
        await tell(database, str(number))
    assert all(await asyncio.gather(*waiting))
    assert len(before) <= 3


async def test_a_session_that_is_lost_is_followed_by_another_and_all_look_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.05)
    async with database.listening("things").changes("a") as event:
        event.clear()
        await end_others(database)
        assert await told(event), "something may have been missed"
        event.clear()

        async def heard() -> bool:
            await tell(database, "a")
            return await told(event, 0.2)

        await eventually(heard)


async def test_nobody_listens_for_nobody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(listening, "LINGER_SECONDS", 0.06)
    things = database.listening("things")
    async with things.changes("a"):
        pass
    assert things._task is not None
    await asyncio.wait_for(things._task, 5)
    async with things.changes("a") as event:
        await tell(database, "a")
        assert await told(event)


async def sessions(database: Database) -> list[int]:
    return [row["pid"] for row in await database.fetch(SELECT_ONE)]


async def end_others(database: Database) -> None:
    """Every session but this one."""
    for pid in await sessions(database):
        await database.execute("SELECT pg_terminate_backend($1)::text", pid)
