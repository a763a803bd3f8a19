"""The runner ``wire`` says in plain words what a repeat differs in, and lets a unit of work fail before each command."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest
from msgspec import Struct

from marketplace_core import calls
from marketplace_core._rpc.runners import RepeatDiffers, run_port
from marketplace_core._runtime.failpoints import inside_undoing
from marketplace_core.adapters.postgres import Database
from marketplace_core.errors import Conflict
from marketplace_core.ports import mutation, query


class Line(Struct, frozen=True):
    sku: str
    count: int


class Stock(ABC):
    @abstractmethod
    @mutation(retriable=True)
    async def take(self, sku: str) -> list[Line]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def write(self, sku: str) -> None: ...

    @abstractmethod
    @query
    async def written(self) -> int: ...


class Forgetful(Stock):
    """Counts on at each repeat, and writes ``inside`` of its unit or beside it."""

    def __init__(self, database: Database, *, inside: bool = True, most: int = 100) -> None:
        self._database, self._inside, self._most = database, inside, most
        self._taken = 0

    async def take(self, sku: str) -> list[Line]:
        if self._taken >= self._most:
            raise Conflict("orders.out_of_stock", "There is none left.")
        self._taken += 1
        return [Line("a", 1), Line(sku, self._taken)]

    async def write(self, sku: str) -> None:
        key = calls.current().key

        async def work(connection: object) -> None:
            if self._inside:
                await connection.execute("INSERT INTO done VALUES ($1) ON CONFLICT DO NOTHING", key)  # type: ignore[attr-defined]
            else:
                await self._database.execute("INSERT INTO done VALUES (gen_random_uuid()::text)")

        await self._database.transact(work)

    async def written(self) -> int:
        found: int = await self._database.value("SELECT count(*) FROM done")
        return found


async def test_what_a_repeat_differs_in_is_said(database: Database) -> None:
    with pytest.raises(RepeatDiffers) as caught:
        await run_port("wire", Stock, Forgetful(database)).take("b")
    assert str(caught.value) == "Stock.take was called twice by one key, and /1/count was 1 and then 2"
    with pytest.raises(RepeatDiffers) as caught:
        await run_port("wire", Stock, Forgetful(database, most=1)).take("b")
    assert str(caught.value) == (
        "Stock.take was called twice by one key, and the second time it was refused: orders.out_of_stock: There is none left."
    )


async def test_a_unit_of_work_is_rolled_back_before_each_command(database: Database) -> None:
    await database.execute("CREATE TABLE done (key text PRIMARY KEY)")
    right, wrong = Forgetful(database), Forgetful(database, inside=False)
    await run_port("wire", Stock, right).write("b")
    assert await right.written() == 1
    await run_port("local", Stock, wrong).write("b")
    assert await right.written() == 2, "nothing shows of what was written beside the unit"
    await run_port("wire", Stock, wrong).write("b")
    assert await right.written() == 2 + 3, "what was rolled back, and the call with its repeat"
    assert not inside_undoing()
