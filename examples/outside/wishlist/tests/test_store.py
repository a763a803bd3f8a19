"""The store port, over each store: the same tests, on a real database of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from marketplace_sqlite.migrate import migrate_file
from marketplace_sqlite.server import Database as SqliteDatabase
from marketplace_sqlite.units import SqliteUnits
from marketplace_wishlist.domain import Rules, Wish
from marketplace_wishlist.store import WishlistStore
from marketplace_wishlist.stores.postgres import PostgresWishlistStore
from marketplace_wishlist.stores.sqlite import SqliteWishlistStore

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.hookspecs import migrations_of
from marketplace_core.ports import UnitOfWork, Units
from marketplace_core.values import SystemClock

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Kept(NamedTuple):
    store: WishlistStore
    units: Units


@pytest.fixture(params=["postgres", "sqlite"])
async def kept(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database_factory: Callable[[Sequence[str]], Awaitable[Database]],
) -> AsyncIterator[Kept]:
    steps = [step for step in migrations_of("marketplace_wishlist") if step.store == request.param]
    if request.param == "postgres":
        made = await database_factory(["CREATE SCHEMA wishlist;", *(step.script for step in steps)])
        yield Kept(PostgresWishlistStore(made), PostgresUnits(made, SystemClock(), "wishlist"))
        return
    file = SqliteDatabase(tmp_path / "test.db")
    await migrate_file(file, {"wishlist": steps})
    yield Kept(SqliteWishlistStore(file), SqliteUnits(file, SystemClock(), "wishlist"))
    await file.close()


def wish(product_id: str, minutes: int = 0) -> Wish:
    return Wish(product_id, f"The {product_id}", AT + timedelta(minutes=minutes))


async def add(kept: Kept, account_id: str, *wishes: Wish) -> None:
    async def work(uow: UnitOfWork) -> None:
        for each in wishes:
            await kept.store.add(uow, account_id, each)

    await kept.units.run(work)


async def test_the_newest_come_first_and_are_what_they_were(kept: Kept) -> None:
    pot, cup, jug = wish("pot"), wish("cup", 2), wish("jug", 1)
    await add(kept, "ada", pot, cup, jug)
    assert await kept.store.wishes("ada") == [cup, jug, pot]
    assert (await kept.store.find("ada", "pot"), await kept.store.find("ada", "urn")) == (pot, None)
    assert (await kept.store.wishes("eve"), await kept.store.find("eve", "pot")) == ([], None)


async def test_a_wish_is_removed_from_one_and_a_product_from_all(kept: Kept) -> None:
    for account in ("ada", "eve"):
        await add(kept, account, wish("pot"), wish("cup", 1))

    async def work(uow: UnitOfWork) -> None:
        await kept.store.remove(uow, "ada", "pot")
        await kept.store.remove(uow, "ada", "nothing")
        await kept.store.forget_product(uow, "cup")

    await kept.units.run(work)
    assert (await kept.store.wishes("ada"), await kept.store.wishes("eve")) == ([], [wish("pot")])


async def test_what_fails_leaves_nothing(kept: Kept) -> None:
    async def work(uow: UnitOfWork) -> None:
        await kept.store.add(uow, "ada", wish("pot"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await kept.units.run(work)
    assert await kept.store.wishes("ada") == []


async def test_who_holds_the_account_is_the_only_one_that_adds(kept: Kept) -> None:
    """So that the limit holds, whoever adds at the same time."""
    rules = Rules(3)

    async def work(uow: UnitOfWork, product_id: str) -> None:
        wishes = await kept.store.lock(uow, "ada")
        if not rules.full(len(wishes)):
            await asyncio.sleep(0.005)
            await kept.store.add(uow, "ada", wish(product_id))

    await asyncio.gather(*(kept.units.run(lambda uow, n=n: work(uow, f"pot {n}")) for n in range(6)))  # type: ignore[misc]
    assert len(await kept.store.wishes("ada")) == 3
