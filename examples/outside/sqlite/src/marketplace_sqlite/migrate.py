"""Migrations: numbered per plugin, forward only; a changed script is refused, as is a file that is ahead of this release."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence

from marketplace_core.hookspecs import Migration
from marketplace_core.ports.servers import MigrationError, Step
from marketplace_sqlite.schema import CORE_MIGRATIONS
from marketplace_sqlite.scripts import split_statements
from marketplace_sqlite.server import Connection, Database

__all__ = ["CORE", "migrate_file", "missing_steps"]

CORE = "marketplace"
#: The first that returns what it wrote.
OLDEST = (3, 35)

_PREPARE = """
CREATE TABLE IF NOT EXISTS marketplace_migrations (
  plugin text NOT NULL, number int NOT NULL, name text NOT NULL, checksum text NOT NULL, PRIMARY KEY (plugin, number))
"""
#: As much of a statement as a message shows.
_SHOWN = 120

Wanted = list[tuple[Step, str]]
Done = Mapping[tuple[str, int], str]


async def missing_steps(database: Database, plugins: Mapping[str, Sequence[Migration]]) -> list[Step]:
    """What :func:`migrate_file` would run."""
    _check_library()

    def done(raw: sqlite3.Connection) -> Done:
        there = raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'marketplace_migrations'").fetchall()
        return _done(raw) if there else {}

    wanted, ran = _wanted(plugins), await database.read(done)
    _check(database.name, ran, wanted, {CORE, *plugins})
    return [step for step, _ in wanted if (step.plugin, step.number) not in ran]


async def migrate_file(
    database: Database, plugins: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None] = lambda _: None
) -> list[Step]:
    """Bring a file up to date. Each step is one transaction, in which it is looked whether another process has run it."""
    _check_library()
    await database.execute(_PREPARE)
    ran: list[Step] = []
    wanted = _wanted(plugins)
    for step, script in wanted:

        async def run(connection: Connection, step: Step = step, script: str = script) -> bool:
            done = await connection.do(_done)
            _check(database.name, done, wanted, {CORE, *plugins})
            if (step.plugin, step.number) in done:
                return False
            await _run(database.name, step, script, connection)
            return True

        if await database.transact(run):
            progress(step)
            ran.append(step)
    return ran


def _check_library() -> None:
    if sqlite3.sqlite_version_info < OLDEST:
        raise MigrationError(
            f"this Python has SQLite {sqlite3.sqlite_version}", f"use one with {'.'.join(map(str, OLDEST))} or later"
        )


def _wanted(plugins: Mapping[str, Sequence[Migration]]) -> Wanted:
    core = [(Step(CORE, number, f"core_{number}"), script) for number, script in enumerate(CORE_MIGRATIONS, start=1)]
    own = [(Step(plugin, each.number, each.name), each.script) for plugin, steps in plugins.items() for each in steps]
    return core + own


def _done(raw: sqlite3.Connection) -> Done:
    rows = raw.execute("SELECT plugin, number, checksum FROM marketplace_migrations").fetchall()
    return {(row["plugin"], row["number"]): row["checksum"] for row in rows}


def _checksum(script: str) -> str:
    """The same however a checkout ends its lines."""
    return hashlib.blake2b("\n".join(script.splitlines()).strip().encode(), digest_size=16).hexdigest()


def _check(name: str, done: Done, wanted: Wanted, known: set[str]) -> None:
    here = {(step.plugin, step.number) for step, _ in wanted}
    if ahead := sorted(step for step in done.keys() - here if step[0] in known):
        plugin, number = ahead[0]
        raise MigrationError(
            f"{name} has migration {number} of {plugin!r}, which this release does not know",
            "install the release that made it, or a later one",
        )
    for step, script in wanted:
        if done.get((step.plugin, step.number), own := _checksum(script)) != own:
            raise MigrationError(
                f"migration {step.number} of {step.plugin!r}, {step.name!r}, was changed after {name} ran it",
                "put back what it was, and write the change as a migration of the next number",
            )


async def _run(name: str, step: Step, script: str, connection: Connection) -> None:
    for number, statement in enumerate(split_statements(script), start=1):
        try:
            await connection.execute(statement)
        except sqlite3.Error as error:
            shown = " ".join(statement.split())
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
            raise MigrationError(
                f"migration {step.number} of {step.plugin!r}, {step.name!r}, failed on {name} at its statement {number}, "
                f"{shown} ({error})",
                "mend it and migrate again, nothing of it was kept",
            ) from error
    await connection.execute(
        "INSERT INTO marketplace_migrations (plugin, number, name, checksum) VALUES (?, ?, ?, ?)",
        step.plugin,
        step.number,
        step.name,
        _checksum(script),
    )
