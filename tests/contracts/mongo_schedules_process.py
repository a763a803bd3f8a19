"""A worker in a process of its own that begins the suite's schedule and never ends it."""

from __future__ import annotations

import asyncio
import sys

from marketplace_core.adapters.mongo import Database
from marketplace_core.adapters.mongo.schedules import MongoSchedules
from marketplace_core.hookspecs import Schedule
from marketplace_core.testing.contracts.schedules import HOURLY
from marketplace_core.values import SystemClock


async def main(url: str, lease: str) -> None:
    async def hang(schedule: Schedule) -> None:
        print("began", flush=True)
        await asyncio.Event().wait()

    await MongoSchedules(Database(url), SystemClock(), lease=float(lease)).run_due([HOURLY], hang)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
