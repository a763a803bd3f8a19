"""A process of its own that has the file open: it does one thing, says ``began``, and goes on until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from marketplace_sqlite.outbox import SqliteOutbox
from marketplace_sqlite.server import Database
from marketplace_sqlite.truth import lease
from marketplace_sqlite.units import SqliteUnits

from marketplace_core.ports import UnitOfWork
from marketplace_core.testing.contracts import Happened
from marketplace_core.values import SystemClock


async def main(path: str, act: str) -> None:
    database = Database(Path(path))
    units = SqliteUnits(database, SystemClock(), "contract")

    async def hold(uow: UnitOfWork) -> None:
        await database.on(uow).execute("INSERT INTO rows (text) VALUES ('theirs')")
        await _for_ever()

    async def emit(uow: UnitOfWork) -> None:
        uow.emit(Happened(thing="a"))

    if act == "hold":
        await units.run(hold)
    elif act == "emit":
        print("began", flush=True)
        await asyncio.sleep(0.3)
        await units.run(emit)
        await database.close()
    elif act == "relay":
        async with SqliteOutbox(database).lanes():
            await _for_ever()
    else:
        async with lease(database, "contract"):
            await _for_ever()


async def _for_ever() -> None:
    print("began", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
