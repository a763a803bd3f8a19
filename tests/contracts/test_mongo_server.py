"""What is MongoDB's own: concerns, what is run again or told, leases that end, servers that will not do, migrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from marketplace_core.adapters.mongo import Connection, Database, UniqueViolation
from marketplace_core.adapters.mongo import migrate as migrating
from marketplace_core.adapters.mongo import server as connecting
from marketplace_core.adapters.mongo.kind import MongoSettings
from marketplace_core.adapters.mongo.leases import lease
from marketplace_core.adapters.mongo.migrate import migrate_database, missing_steps
from marketplace_core.adapters.mongo.native import EmbeddedMongo
from marketplace_core.adapters.mongo.opening import MongoServer
from marketplace_core.adapters.mongo.outbox import MongoOutbox
from marketplace_core.adapters.mongo.parking import MongoParking
from marketplace_core.adapters.mongo.scripts import outside
from marketplace_core.adapters.mongo.units import MongoUnits
from marketplace_core.errors import Invalid, Unavailable
from marketplace_core.hookspecs import Migration
from marketplace_core.ports import UnitOfWork
from marketplace_core.ports.servers import MigrationError
from marketplace_core.testing.contracts import Happened, eventually
from marketplace_core.testing.contracts.units import Answer, claim, happened, sent
from marketplace_core.values import SystemClock

pytestmark = pytest.mark.xdist_group("mongo")


class Heard(CommandListener):
    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


# ── concerns ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_read_and_written_is_so_by_the_majority(mongo_database: Database) -> None:
    """Whatever the address says: of every command of a command, of a handler, of the relay and of what is parked."""
    heard = Heard()
    careless = "?w=0&readConcernLevel=local&readPreference=secondaryPreferred"
    database = Database(mongo_database.url + careless, listeners=[heard])
    units = MongoUnits(database, SystemClock(), "contract")

    async def work(uow: UnitOfWork) -> Answer:
        await database.on(uow).insert("contract.rows", [{"text": "a"}])
        uow.emit(Happened(thing="a"))
        return Answer("a")

    async def handle(uow: UnitOfWork) -> None:
        await work(uow)

    await units.once(claim(), Answer, work)
    await units.apply("on", happened("a", 1), handle)
    await MongoParking(database).park("contract.on", sent(happened("a", 2)), "bad", 1)
    async with MongoOutbox(database).lanes() as lanes:
        await lanes.mark([row.id for row in await lanes.pending(10)])
    await database.close()

    reads = {"find", "aggregate", "count"}
    writes = {"insert", "update", "delete", "findAndModify"}
    alone = [command for command in heard.commands if "txnNumber" not in command or "autocommit" not in command]
    assert {level(command) for command in alone if reads & command.keys()} == {"majority"}
    assert {concern(command) for command in alone if writes & command.keys()} == {"majority"}
    begun = [command for command in heard.commands if command.get("startTransaction")]
    assert len(begun) == 3 and {level(command) for command in begun} == {"majority"}
    ended = [command for command in heard.commands if "commitTransaction" in command]
    assert len(ended) == 3 and {concern(command) for command in ended} == {"majority"}


def level(command: dict[str, Any]) -> str | None:
    found: str | None = command.get("readConcern", {}).get("level")
    return found


def concern(command: dict[str, Any]) -> object:
    return command.get("writeConcern", {}).get("w")


# ── what fails ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def rows(mongo_database: Database) -> str:
    await mongo_database.command({"create": "contract.rows"})
    await mongo_database.insert("contract.rows", [{"_id": 1, "n": 0}])
    return "contract.rows"


async def test_who_meets_another_one_is_run_again_and_nobody_else_is(mongo_database: Database, rows: str) -> None:
    tries: list[str] = []

    def adding(name: str) -> Callable[[Connection], Any]:
        async def work(connection: Connection) -> None:
            tries.append(name)
            row = await connection.find_one(rows, {"_id": 1})
            assert row is not None
            await asyncio.sleep(0.01)
            await connection.update(rows, {"_id": 1}, {"$set": {"n": row["n"] + 1}})

        return work

    await asyncio.gather(*(mongo_database.transact(adding(str(number))) for number in range(6)))
    row = await mongo_database.find_one(rows, {"_id": 1})
    assert row is not None and row["n"] == 6 < len(tries)

    tries.clear()

    async def mistaken(connection: Connection) -> None:
        tries.append("mistaken")
        await connection.update(rows, {"_id": 1}, {"$nonsense": {"n": 1}})

    async def twice(connection: Connection) -> None:
        tries.append("twice")
        await connection.insert(rows, [{"_id": 1}])

    async def too_large(connection: Connection) -> None:
        tries.append("too large")
        await connection.insert(rows, [{"n": 2**64}])

    for work, error in ((mistaken, OperationFailure), (twice, UniqueViolation), (too_large, Invalid)):
        with pytest.raises(error):
            await mongo_database.transact(work)
    assert tries == ["mistaken", "twice", "too large"]


async def test_who_locks_one_document_takes_turns(mongo_database: Database, rows: str) -> None:
    """A lock is a write: who has read what another one locked meanwhile does not go on from there."""
    locked, go_on, seen = asyncio.Event(), asyncio.Event(), list[int]()

    async def first(connection: Connection) -> None:
        await connection.lock(rows, {"_id": 1})
        locked.set()
        await go_on.wait()
        await connection.update(rows, {"_id": 1}, {"$set": {"n": 1}})

    async def second(connection: Connection) -> None:
        row = await connection.lock(rows, {"_id": 1})
        assert row is not None
        seen.append(row["n"])

    begun = asyncio.create_task(mongo_database.transact(first))
    await locked.wait()
    other = asyncio.create_task(mongo_database.transact(second))
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.gather(begun, other)
    assert seen == [1]


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_lanes_of_who_died_are_taken_over_and_he_sends_nothing_more(
    mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = MongoUnits(mongo_database, SystemClock(), "contract")
    dead, heir = MongoOutbox(mongo_database, lease=0.6), MongoOutbox(mongo_database, lease=0.6)

    async def emit(uow: UnitOfWork) -> None:
        uow.emit(Happened(thing="a"))

    await units.run(emit)
    async with dead.lanes() as stopped:
        assert len(await stopped.pending(10)) == 1
        monkeypatch.setattr(stopped._leases, "keep", _never)  # type: ignore[attr-defined]
        async with heir.lanes() as lanes:
            assert await lanes.pending(10) == []

            async def taken() -> bool:
                await lanes.wait(0.2)
                return len(await lanes.pending(10)) == 1

            await eventually(taken, within=4.0)
            with pytest.raises(Unavailable):
                await stopped.pending(10)
            with pytest.raises(Unavailable):
                await stopped.wait(1.0)


async def _never() -> None:
    await asyncio.Event().wait()


async def test_a_lease_is_of_one_and_is_given_back(mongo_database: Database) -> None:
    async with lease(mongo_database, "alone"):
        waiting = asyncio.create_task(_held(mongo_database))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 3.0)


async def _held(database: Database) -> bool:
    async with lease(database, "alone") as task:
        return not task.done()


# ── servers that will not do ─────────────────────────────────────────────────────────────────────────────────


class Standalone(EmbeddedMongo):
    """It has transactions, and does not say that it is of a replica set."""

    def _command(self) -> Sequence[str | Path]:
        return [*super()._command(), "--standalone"]


@pytest.fixture
async def standalone(tmp_path: Path) -> AsyncIterator[EmbeddedMongo]:
    server = Standalone(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def test_readiness_wants_a_transaction_and_a_replica_set(
    standalone: EmbeddedMongo, mongo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, assumed = MongoSettings(), MongoSettings(replica_set="assumed")
    await _ready(mongo_database.url, named)
    assert await mongo_database.count("marketplace.proof", {}) == 0
    with pytest.raises(Unavailable, match=r"is of no replica set.* replica_set = \"assumed\""):
        await _ready(standalone.url(), named)
    await _ready(standalone.url(), assumed)

    async def refused(self: Database, work: Callable[[Connection], Awaitable[Any]]) -> None:
        raise OperationFailure("Transaction numbers are only allowed on a replica set member or mongos", 20)

    monkeypatch.setattr(Database, "transact", refused)
    for settings in (named, assumed):
        with pytest.raises(Unavailable, match="has no transactions"):
            await _ready(mongo_database.url, settings)


async def _ready(url: str, settings: MongoSettings) -> None:
    server = MongoServer("documents", url, settings)
    try:
        await server.ready()
    finally:
        await server.close()


# ── a server that is killed ──────────────────────────────────────────────────────────────────────────────────


async def test_a_server_that_is_killed_loses_nothing_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same clients: no process has to be started again."""
    monkeypatch.setattr(connecting, "STATEMENT_SECONDS", 1.0)
    server = EmbeddedMongo(tmp_path)
    await server.start()
    opened = MongoServer("documents", server.url(), MongoSettings())
    database, acknowledged = opened.connection, list[str]()
    await migrate_database(database, {})
    await database.command({"create": "contract.rows"})
    units = MongoUnits(database, SystemClock(), "contract")

    async def write(name: str) -> None:
        async def work(uow: UnitOfWork) -> None:
            await database.on(uow).insert("contract.rows", [{"_id": name}])
            uow.emit(Happened(thing=name[0]))

        await units.run(work)
        acknowledged.append(name)

    async def go_on(key: str) -> None:
        for number in range(10_000):
            await write(f"{key}{number}")

    writing = [asyncio.create_task(go_on(key)) for key in "abc"]
    await eventually(lambda: len(acknowledged) >= 30, within=10.0)
    server.kill()
    ends = await asyncio.gather(*writing, return_exceptions=True)
    assert all(isinstance(end, Unavailable) for end in ends), ends
    with pytest.raises(Unavailable):
        await asyncio.wait_for(opened.ready(), 20.0)
    before = len(acknowledged)

    await server.start()
    await opened.ready()
    await write("after")
    assert len(acknowledged) == before + 1
    rows = [row["_id"] for row in await database.find("contract.rows", {})]
    told = await database.find("marketplace.outbox", {}, sort=[("_id", 1)])
    assert set(acknowledged) <= set(rows) and len(told) == len(rows)
    for key in "abc":
        assert [row["sequence"] for row in told if row["key"] == key] == list(range(1, 1 + sum(one[0] == key for one in rows)))
    await opened.close()
    await server.stop()


# ── migrations ───────────────────────────────────────────────────────────────────────────────────────────────

_INDEX = """[{"create": "shop.things"},
 {"createIndexes": "shop.things", "indexes": [{"name": "by_name", "key": {"name": 1}, "unique": true}]}]"""


async def test_a_step_runs_once_and_from_its_beginning_if_it_failed(mongo_database: Database) -> None:
    good, bad = Migration("mongo", 1, "things", _INDEX), Migration("mongo", 2, "bad", '[{"createIndexes": "shop.things"}]')
    with pytest.raises(MigrationError, match=r"migration 2 of 'shop', 'bad', failed on .* at its command 1"):
        await migrate_database(mongo_database, {"shop": [good, bad]})
    assert [step.number for step in await missing_steps(mongo_database, {"shop": [good, bad]})] == [2]
    await mongo_database.delete("marketplace.migrations", {"_id.plugin": "shop"})  # its process died before it was noted
    assert [step.number for step in await migrate_database(mongo_database, {"shop": [good]})] == [1]
    assert await migrate_database(mongo_database, {"shop": [good]}) == []
    await mongo_database.insert("shop.things", [{"name": "a"}])
    with pytest.raises(UniqueViolation, match="by_name"):
        await mongo_database.insert("shop.things", [{"name": "a"}])

    with pytest.raises(MigrationError, match="was changed after"):
        await migrate_database(mongo_database, {"shop": [Migration("mongo", 1, "things", "[]")]})
    with pytest.raises(MigrationError, match="does not know"):
        await missing_steps(mongo_database, {"shop": []})


async def test_two_that_migrate_at_once_take_turns(mongo_server: EmbeddedMongo) -> None:
    url = mongo_server.url("turns")
    databases = [Database(url), Database(url)]
    await databases[0].drop()
    ran = await asyncio.gather(*(migrate_database(each, {}) for each in databases))
    assert sorted(len(steps) for steps in ran) == [0, len(migrating.CORE_MIGRATIONS)]
    assert await databases[0].count("marketplace.writer", {}) == 1
    await databases[0].drop()
    for each in databases:
        await each.close()


def test_what_a_script_touches_of_others_is_told() -> None:
    script = '[{"create": "shop.a"}, {"createIndexes": "other.b", "indexes": []}, {"drop": "c"}]'
    assert list(outside(script, "shop")) == [("other.b", "shop.b"), ("c", "shop.c")]
    assert list(outside('[{"create": "shop_ratings.a"}]', "shop.ratings")) == []


def test_one_module_imports_the_driver() -> None:
    """So that its successor changes that module and no other."""
    root = Path(connecting.__file__).parents[4]
    sources = [*root.glob("src/**/*.py"), *root.glob("plugins/*/src/**/*.py")]
    found = [path for path in sources if "motor.motor_asyncio" in path.read_text() or "import motor" in path.read_text()]
    assert found == [Path(connecting.__file__)]
