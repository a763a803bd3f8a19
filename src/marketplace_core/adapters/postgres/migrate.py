"""Migrations: numbered per plugin and store, forward only, one at a time whoever else migrates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from marketplace_core.adapters._waits import patient
from marketplace_core.adapters.postgres.schema import CORE_MIGRATIONS
from marketplace_core.adapters.postgres.server import Connection, Database
from marketplace_core.hookspecs import Migration
from marketplace_core.ports.servers import MigrationError, Step

__all__ = ["CORE", "MigrationError", "Step", "as_scripts", "check_server", "migrate_database", "missing_steps", "schema_of"]

CORE = "marketplace"
_LOCK = 0x6D696772  # "migr"
#: The first whose sessions can be told when to end.
OLDEST_POSTGRES = 14
#: Locales whose messages are PostgreSQL's own words, by which errors are told apart.
_ENGLISH = re.compile(r"(C|POSIX|C\..*|en(_.*)?|English.*)?")

_PREPARE = """
CREATE SCHEMA IF NOT EXISTS marketplace;
CREATE TABLE IF NOT EXISTS marketplace.migrations (
  plugin text NOT NULL, number int NOT NULL, name text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (plugin, number));
"""


async def check_server(connection: Connection, name: str) -> None:
    """:raises MigrationError: the server of the database ``name`` is too old, or tells its errors in another language."""
    [row] = await connection.fetch(
        "SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('lc_messages') AS language,"
        " current_database()::text AS database"
    )
    if row["version"] < OLDEST_POSTGRES:
        raise MigrationError(f"{name} is on PostgreSQL {row['version']}", f"use {OLDEST_POSTGRES} or later")
    if _ENGLISH.fullmatch(row["language"]) is None:
        raise MigrationError(
            f"{name} tells its errors in {row['language']}, and they are told apart in English",
            f"""have a superuser run ALTER DATABASE "{row["database"]}" SET lc_messages = 'C'""",
        )


def schema_of(kept: str) -> str:
    """The schema of ``<plugin>`` or ``<plugin>.<role>``."""
    return kept.replace(".", "_")


def _wanted(plugins: Mapping[str, Sequence[Migration]]) -> list[tuple[Step, str]]:
    core = [(Step(CORE, n, f"core_{n}"), script) for n, script in enumerate(CORE_MIGRATIONS, start=1)]
    own = [
        (Step(plugin, migration.number, migration.name), migration.script)
        for plugin, migrations in plugins.items()
        for migration in migrations
    ]
    return core + own


async def _done(connection: Connection) -> set[tuple[str, int]]:
    rows = await connection.fetch("SELECT plugin, number FROM marketplace.migrations")
    return {(row["plugin"], row["number"]) for row in rows}


async def missing_steps(database: Database, plugins: Mapping[str, Sequence[Migration]]) -> list[Step]:
    """What :func:`migrate_database` would run."""
    async with database.connection() as connection:
        await check_server(connection, database.name)
        prepared = await connection.value("SELECT to_regclass('marketplace.migrations')::text")
        done = await _done(connection) if prepared else set()
    return [step for step, _ in _wanted(plugins) if (step.plugin, step.number) not in done]


async def migrate_database(
    database: Database, plugins: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None] = lambda _: None
) -> list[Step]:
    """Bring one database up to date: core's own tables, then each plugin's in a schema of its name.

    Each step is one transaction, which takes as long as it does. Two that migrate at once take turns, and the second finds
    nothing to do.
    """
    with patient(None):
        return await _migrate(database, plugins, progress)


async def _migrate(
    database: Database, plugins: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None]
) -> list[Step]:
    ran: list[Step] = []
    async with database.connection() as lock:
        await check_server(lock, database.name)
        await lock.execute("SELECT pg_advisory_lock($1::bigint)", _LOCK)
        try:
            await lock.script(_PREPARE)
            done = await _done(lock)
            ahead = done - {(step.plugin, step.number) for step, _ in _wanted(plugins)}
            known = {CORE, *plugins}
            if ahead := {step for step in ahead if step[0] in known}:
                plugin, number = sorted(ahead)[0]
                raise MigrationError(
                    f"{database.name} has migration {number} of {plugin!r}, which this release does not know",
                    "install the release that made it, or a later one",
                )
            for step, script in _wanted(plugins):
                if (step.plugin, step.number) not in done:
                    await database.transact(partial(_run, step, script))
                    progress(step)
                    ran.append(step)
        finally:
            await lock.execute("SELECT pg_advisory_unlock($1::bigint)", _LOCK)
    return ran


def as_scripts(plugins: Mapping[str, Sequence[Migration]]) -> list[str]:
    """What :func:`migrate_database` does to an empty database, for who makes many."""
    scripts = [_PREPARE, *(f'CREATE SCHEMA "{schema_of(plugin)}"' for plugin in plugins)]
    for step, script in _wanted(plugins):
        values = ", ".join(f"'{part}'" for part in (step.plugin, step.number, step.name))
        scripts += [script, f"INSERT INTO marketplace.migrations (plugin, number, name) VALUES ({values})"]  # noqa: S608
    return scripts


async def _run(step: Step, script: str, connection: Connection) -> None:
    if step.plugin != CORE:
        await connection.script(f'CREATE SCHEMA IF NOT EXISTS "{schema_of(step.plugin)}"')
    await connection.script(script)
    await connection.execute(
        "INSERT INTO marketplace.migrations (plugin, number, name) VALUES ($1, $2, $3)", step.plugin, step.number, step.name
    )
