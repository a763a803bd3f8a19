"""The tests of the distribution's own code read it where it stands; ``test_deployments.py`` has pip install it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
if str(SRC) not in sys.path:
    sys.path.insert(0, str(SRC))

from marketplace_sqlite.migrate import migrate_file  # noqa: E402
from marketplace_sqlite.outbox import SqliteOutbox  # noqa: E402
from marketplace_sqlite.parking import SqliteParking  # noqa: E402
from marketplace_sqlite.server import Database  # noqa: E402
from marketplace_sqlite.units import SqliteUnits  # noqa: E402
from redis.asyncio import Redis  # noqa: E402

from marketplace_core.adapters.arq import ArqQueue  # noqa: E402
from marketplace_core.adapters.redis.bus import RedisBus  # noqa: E402
from marketplace_core.ports import UnitOfWork  # noqa: E402
from marketplace_core.testing.contracts.bus import GROUPS, LEASE  # noqa: E402
from marketplace_core.testing.contracts.units import Probe  # noqa: E402
from marketplace_core.values import SystemClock  # noqa: E402

Opens = Callable[[], Awaitable[Database]]


class SqliteProbe(Probe):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, uow: UnitOfWork, text: str) -> None:
        await self._database.on(uow).execute("INSERT INTO rows (text) VALUES (?)", text)

    async def written(self) -> list[str]:
        return [row["text"] for row in await self._database.fetch("SELECT text FROM rows ORDER BY id")]

    async def outgoing(self) -> list[str]:
        return [row["type"] for row in await self._database.fetch("SELECT type FROM marketplace_outbox ORDER BY id")]


@pytest.fixture
async def opens(tmp_path: Path) -> AsyncIterator[Opens]:
    """``await opens()``: the test's file, as one more process has it."""
    made: list[Database] = []

    async def make() -> Database:
        made.append(Database(tmp_path / "test.db"))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
async def database(opens: Opens) -> Database:
    made = await opens()
    await migrate_file(made, {})
    await made.execute("CREATE TABLE rows (id integer PRIMARY KEY, text text)")
    return made


@pytest.fixture
async def second_database(opens: Opens, database: Database) -> Database:
    return await opens()


@pytest.fixture
def probe(database: Database) -> SqliteProbe:
    return SqliteProbe(database)


@pytest.fixture
def units(database: Database) -> SqliteUnits:
    return SqliteUnits(database, SystemClock(), "contract", frozenset({"contract"}))


@pytest.fixture
def other_units(database: Database) -> SqliteUnits:
    return SqliteUnits(database, SystemClock(), "other")


@pytest.fixture
def outbox(database: Database) -> SqliteOutbox:
    return SqliteOutbox(database)


@pytest.fixture
def second(second_database: Database) -> SqliteOutbox:
    return SqliteOutbox(second_database)


@pytest.fixture
def parking(database: Database) -> SqliteParking:
    return SqliteParking(database)


@pytest.fixture
def bus(redis_lasting: Redis) -> RedisBus:
    return RedisBus(redis_lasting, groups=GROUPS, lease=LEASE)


@pytest.fixture
async def jobs(redis_lasting: Redis, redis_lasting_url: str) -> AsyncIterator[ArqQueue]:
    queue = ArqQueue(redis_lasting_url, "jobs")
    yield queue
    await queue.close()
