"""The adapters under test, each on real servers of the run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.arq import ArqQueue
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.ports import UnitOfWork, Units
from marketplace_core.testing.contracts.bus import GROUPS, LEASE
from marketplace_core.testing.contracts.sagas_runner import PostgresActs
from marketplace_core.testing.contracts.units import Probe


class PostgresProbe(Probe):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        await self._database.execute("CREATE TABLE public.rows (id int GENERATED ALWAYS AS IDENTITY, text text)")

    async def write(self, uow: UnitOfWork, text: str) -> None:
        await self._database.on(uow).execute("INSERT INTO public.rows (text) VALUES ($1)", text)

    async def written(self) -> list[str]:
        return [row["text"] for row in await self._database.fetch("SELECT text FROM public.rows ORDER BY id")]

    async def outgoing(self) -> list[str]:
        return [row["type"] for row in await self._database.fetch("SELECT type FROM marketplace.outbox ORDER BY id")]


@pytest.fixture
def clock(movable_clock: RedisClock) -> RedisClock:
    return movable_clock


@pytest.fixture
async def acts(database: Database, clock: RedisClock) -> PostgresActs:
    acts = PostgresActs(database, clock)
    await acts.prepare()
    return acts


@pytest.fixture
async def probe(database: Database) -> PostgresProbe:
    probe = PostgresProbe(database)
    await probe.prepare()
    return probe


@pytest.fixture
def units(database: Database, movable_clock: RedisClock) -> Units:
    return PostgresUnits(database, movable_clock, "contract", frozenset({"contract"}))


@pytest.fixture
def other_units(database: Database, movable_clock: RedisClock) -> Units:
    return PostgresUnits(database, movable_clock, "other")


@pytest.fixture
def outbox(database: Database) -> PostgresOutbox:
    return PostgresOutbox(database)


@pytest.fixture
def parking(database: Database) -> PostgresParking:
    return PostgresParking(database)


@pytest.fixture
def bus(redis_lasting: Redis) -> RedisBus:
    return RedisBus(redis_lasting, groups=GROUPS, lease=LEASE)


@pytest.fixture
async def jobs(redis_lasting: Redis, redis_lasting_url: str) -> AsyncIterator[ArqQueue]:
    queue = ArqQueue(redis_lasting_url, "jobs")
    yield queue
    await queue.close()
