"""What a file has beyond core's suites: migrations, the lease, and processes that open it together or die over it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from marketplace_sqlite.migrate import migrate_file, missing_steps
from marketplace_sqlite.outbox import SqliteOutbox
from marketplace_sqlite.parking import SqliteParking
from marketplace_sqlite.scripts import outside, split_statements
from marketplace_sqlite.server import Connection, Database, UniqueViolation
from marketplace_sqlite.truth import lease
from marketplace_sqlite.units import SqliteUnits

from marketplace_core.errors import Unavailable
from marketplace_core.hookspecs import Migration
from marketplace_core.ports import UnitOfWork
from marketplace_core.ports.servers import MigrationError
from marketplace_core.testing.contracts import Happened
from marketplace_core.testing.contracts.units import Probe, sent
from marketplace_core.testing.contracts.units import happened as envelope
from marketplace_core.values import SystemClock

PROGRAM = Path(__file__).with_name("other_process.py")


@asynccontextmanager
async def other(path: Path, act: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that has the file open, once it has begun."""
    argv = [sys.executable, os.fspath(PROGRAM), os.fspath(path), act]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None and await process.stdout.readline() == b"began\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_unit_that_dies_leaves_nothing_and_holds_up_nobody(
    database: Database, units: SqliteUnits, probe: Probe
) -> None:
    async def work(uow: UnitOfWork) -> None:
        await probe.write(uow, "ours")

    async with other(database.path, "hold") as process:
        waiting = asyncio.create_task(units.run(work))
        await asyncio.sleep(0.2)
        assert not waiting.done(), "one writes at a time, of all processes"
        assert await probe.written() == [], "and who reads waits for nobody"
        process.send_signal(signal.SIGKILL)
        await asyncio.wait_for(waiting, 5)
    assert await probe.written() == ["ours"]


async def test_the_relay_is_told_by_another_process(database: Database, outbox: SqliteOutbox) -> None:
    async with outbox.lanes() as lanes:
        assert await lanes.pending(10) == []
        began = time.monotonic()
        async with other(database.path, "emit") as process:
            await lanes.wait(20.0)
            assert time.monotonic() - began < 10
            assert [row.type for row in await lanes.pending(10)] == [Happened.type]
            await process.wait()


async def test_the_lanes_of_a_process_that_died_are_free_at_once(database: Database, outbox: SqliteOutbox) -> None:
    async with other(database.path, "relay") as process, outbox.lanes() as lanes:
        units = SqliteUnits(database, SystemClock(), "contract")

        async def work(uow: UnitOfWork) -> None:
            uow.emit(Happened(thing="a"))

        await units.run(work)
        assert await lanes.pending(10) == []
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await lanes.wait(5.0)
        assert len(await lanes.pending(10)) == 1


async def test_a_lease_is_one_processs_until_it_dies(database: Database) -> None:
    async with other(database.path, "lease") as process:
        async with lease(database, "another"):
            pass
        waiting = asyncio.create_task(_take(database))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        process.send_signal(signal.SIGKILL)
        await asyncio.wait_for(waiting, 5)


async def _take(database: Database) -> None:
    async with lease(database, "contract"):
        pass


async def test_a_lease_whose_file_was_taken_away_is_lost(database: Database) -> None:
    async with lease(database, "contract") as watch:
        assert not watch.done()
        database.path.with_name("test.db-lease-contract.lock").unlink()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(asyncio.shield(watch), 5)


async def test_who_is_held_up_for_too_long_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketplace_sqlite.server.BUSY_SECONDS", 0.2)
    held = asyncio.Event()

    async def hold(connection: Connection) -> None:
        await held.wait()

    first = asyncio.create_task(database.transact(hold))
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await database.execute("INSERT INTO rows (text) VALUES ('late')")
    held.set()
    await first


async def test_what_a_person_asks_for_elsewhere_is_seen(
    database: Database, second_database: Database, parking: SqliteParking
) -> None:
    await parking.park("contract.on", sent(envelope("a", 1)), "ValueError: bad", 5)
    [head] = await parking.list(["contract.on"])
    assert await SqliteParking(second_database).request(head.id, drop=True)
    began = time.monotonic()
    await parking.wait(["contract.on"], 30.0)
    assert time.monotonic() - began < 3


async def test_rows_that_are_refused_are_told_apart(database: Database) -> None:
    await database.execute("CREATE TABLE once (id text PRIMARY KEY)")
    await database.execute("INSERT INTO once VALUES (?)", "a")
    with pytest.raises(UniqueViolation, match=r"once\.id"):
        await database.execute("INSERT INTO once VALUES (?)", "a")
    with pytest.raises(sqlite3.OperationalError):
        await database.execute("INSERT INTO nowhere VALUES (1)")


async def test_a_purge_takes_what_is_old_and_was_sent(database: Database, outbox: SqliteOutbox) -> None:
    row = "INSERT INTO marketplace_outbox (kind, topic, type, key, event_id, payload, trace, created_at, relayed_at)"
    old, now = time.time() - 8 * 86_400, time.time()
    for created, relayed in ((old, old), (old, None), (now, now)):
        await database.execute(f"{row} VALUES ('job', '', 'x', '', '', '', '', ?, ?)", created, relayed)
    for key, at in (("old", old), ("new", now)):
        await database.execute("INSERT INTO marketplace_idempotency VALUES ('', '', ?, '', 0, '', ?)", key, at)
    assert await outbox.oldest() > 7 * 86_400
    await outbox.purge()
    assert [row["id"] for row in await database.fetch("SELECT id FROM marketplace_outbox")] == [2, 3]
    assert await database.fetch("SELECT key FROM marketplace_idempotency") == [{"key": "new"}]


# ── migrations ───────────────────────────────────────────────────────────────────────────────────────────────

ONE = Migration("sqlite", 1, "one", "CREATE TABLE acme_a (id int); INSERT INTO acme_a VALUES (1);")
BAD = Migration("sqlite", 2, "bad", "INSERT INTO acme_a VALUES (2); CREATE TABLE acme_a (id int);")


async def test_two_that_migrate_at_once_take_turns(tmp_path: Path) -> None:
    both = [Database(tmp_path / "new.db") for _ in range(2)]
    ran = await asyncio.gather(*(migrate_file(each, {"acme": [ONE]}) for each in both))
    assert sorted((step.plugin, step.number) for steps in ran for step in steps) == [("acme", 1), ("marketplace", 1)]
    assert await both[0].value("SELECT count(*) FROM acme_a") == 1
    assert await missing_steps(both[1], {"acme": [ONE]}) == []
    for each in both:
        await each.close()


async def test_a_step_that_fails_leaves_nothing_and_is_told(database: Database) -> None:
    await migrate_file(database, {"acme": [ONE]})
    with pytest.raises(MigrationError, match=r"migration 2 of 'acme', 'bad', failed on .* at its statement 2, CREATE TABLE"):
        await migrate_file(database, {"acme": [ONE, BAD]})
    assert await database.value("SELECT count(*) FROM acme_a") == 1
    assert [step.number for step in await missing_steps(database, {"acme": [ONE, BAD]})] == [2]


async def test_a_script_that_was_changed_and_a_file_that_is_ahead_are_refused(database: Database) -> None:
    await migrate_file(database, {"acme": [ONE]})
    with pytest.raises(MigrationError, match="was changed after"):
        await missing_steps(database, {"acme": [Migration("sqlite", 1, "one", "CREATE TABLE acme_b (id int)")]})
    with pytest.raises(MigrationError, match="which this release does not know"):
        await migrate_file(database, {"acme": []})


def test_scripts_are_taken_apart_as_sqlite_does() -> None:
    trigger = "CREATE TRIGGER acme_t AFTER INSERT ON acme_a BEGIN DELETE FROM acme_b; DELETE FROM acme_c; END;"
    script = f"-- a; comment\nCREATE TABLE acme_a (t text DEFAULT ';');\n{trigger}\n/* ; */ -- end"
    assert [text.split("\n")[-1] for text in split_statements(script)] == ["CREATE TABLE acme_a (t text DEFAULT ';');", trigger]


@pytest.mark.parametrize(
    ("script", "touched"),
    [
        ("CREATE TABLE acme_a (id int); CREATE INDEX acme_i ON acme_a (id); DROP TABLE IF EXISTS acme", []),
        ("CREATE TABLE IF NOT EXISTS a (id int)", [("a", "acme_a")]),
        ("CREATE INDEX acme_i ON other_a (id)", [("other_a", "acme_other_a")]),
        ("/* x */ INSERT OR IGNORE INTO marketplace_outbox VALUES (1)", [("marketplace_outbox", "acme_marketplace_outbox")]),
        ('ALTER TABLE "b" ADD COLUMN c; DELETE FROM acme_a', [("b", "acme_b")]),
    ],
)
def test_tables_of_others_are_found(script: str, touched: list[tuple[str, str]]) -> None:
    assert list(outside(script, "acme")) == touched
