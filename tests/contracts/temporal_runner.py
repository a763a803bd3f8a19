"""As a program: a process that takes up a saga on Temporal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.temporal import workflow
from marketplace_core.adapters.temporal.engine import TemporalSagas
from marketplace_core.adapters.temporal.opening import TemporalServer
from marketplace_core.ports.engine import Journal
from marketplace_core.sagas import Performer, Saga
from marketplace_core.testing.contracts.sagas_runner import take_up
from marketplace_core.values import Clock


def make(
    url: str, database: Database, sagas: Sequence[Saga], performer: Performer, clock: Clock, journal: Journal
) -> TemporalSagas:
    return TemporalSagas(TemporalServer(url), sagas, performer, clock, journal)


async def main(url: str, dsn: str, redis: str, saga_id: str) -> None:
    workflow.HEARTBEAT = timedelta(seconds=2)
    await take_up(partial(make, url), dsn, redis, saga_id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
