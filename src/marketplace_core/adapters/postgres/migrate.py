"""Migrations: numbered per plugin and store, forward only, one at a time whoever else migrates.

What a step's script was is kept as a checksum: one that was changed after it ran is refused, since nobody could say what its
tables are now.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial

from marketplace_core.adapters._scripts import schema_of, split_statements
from marketplace_core.adapters._waits import unhurried
from marketplace_core.adapters.postgres.schema import CORE_MIGRATIONS
from marketplace_core.adapters.postgres.server import Connection, Database
from marketplace_core.errors import MarketplaceError
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
ALTER TABLE marketplace.migrations ADD COLUMN IF NOT EXISTS checksum text;
"""
#: Also of a database whose last release kept no checksums.
_DONE = "SELECT plugin, number, to_jsonb(m) ->> 'checksum' AS checksum FROM marketplace.migrations AS m"
_KEEP = "UPDATE marketplace.migrations SET checksum = $3 WHERE plugin = $1 AND number = $2::int"
_COLUMNS = "plugin, number, name, checksum"
#: As much of a statement as a message shows.
_SHOWN = 120

Wanted = list[tuple["Step", str]]
Done = Mapping[tuple[str, int], str | None]


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


def _wanted(plugins: Mapping[str, Sequence[Migration]]) -> Wanted:
    core = [(Step(CORE, n, f"core_{n}"), script) for n, script in enumerate(CORE_MIGRATIONS, start=1)]
    own = [
        (Step(plugin, migration.number, migration.name), migration.script)
        for plugin, migrations in plugins.items()
        for migration in migrations
    ]
    return core + own


async def _done(connection: Connection) -> Done:
    """The steps that have run, each with its script's checksum, or None where a release that kept none ran it."""
    return {(row["plugin"], row["number"]): row["checksum"] for row in await connection.fetch(_DONE)}


def _checksum(script: str) -> str:
    """The same however a checkout ends its lines."""
    return hashlib.blake2b("\n".join(script.splitlines()).strip().encode(), digest_size=16).hexdigest()


def _check(name: str, done: Done, wanted: Wanted, known: Set[str]) -> None:
    """:raises MigrationError: the database ``name`` is ahead of this release, or a script is not the one that ran."""
    here = {(step.plugin, step.number) for step, _ in wanted}
    if ahead := sorted((plugin, number) for plugin, number in done.keys() - here if plugin in known):
        plugin, number = ahead[0]
        raise MigrationError(
            f"{name} has migration {number} of {plugin!r}, which this release does not know",
            "install the release that made it, or a later one",
        )
    for step, script in wanted:
        ran = done.get((step.plugin, step.number))
        if ran is not None and ran != _checksum(script):
            raise MigrationError(
                f"migration {step.number} of {step.plugin!r}, {step.name!r}, was changed after {name} ran it",
                "put back what it was, and write the change as a migration of the next number",
            )


async def missing_steps(database: Database, plugins: Mapping[str, Sequence[Migration]]) -> list[Step]:
    """What :func:`migrate_database` would run."""
    async with database.connection() as connection:
        await check_server(connection, database.name)
        prepared = await connection.value("SELECT to_regclass('marketplace.migrations')::text")
        done = await _done(connection) if prepared else {}
    wanted = _wanted(plugins)
    _check(database.name, done, wanted, {CORE, *plugins})
    return [step for step, _ in wanted if (step.plugin, step.number) not in done]


async def migrate_database(
    database: Database, plugins: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None] = lambda _: None
) -> list[Step]:
    """Bring one database up to date: core's own tables, then each plugin's in a schema of its name.

    Each step is one transaction, which takes as long as it does. Two that migrate at once take turns, and the second finds
    nothing to do.
    """
    with unhurried(None):
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
            done, wanted = await _done(lock), _wanted(plugins)
            _check(database.name, done, wanted, {CORE, *plugins})
            for step, script in wanted:
                if (step.plugin, step.number) not in done:
                    await database.transact(partial(_run, database.name, step, script))
                    progress(step)
                    ran.append(step)
                elif done[step.plugin, step.number] is None:
                    await lock.execute(_KEEP, step.plugin, step.number, _checksum(script))
        finally:
            await lock.execute("SELECT pg_advisory_unlock($1::bigint)", _LOCK)
    return ran


def as_scripts(plugins: Mapping[str, Sequence[Migration]]) -> list[str]:
    """What :func:`migrate_database` does to an empty database, for who makes many."""
    scripts = [_PREPARE, *(f'CREATE SCHEMA "{schema_of(plugin)}"' for plugin in plugins)]
    for step, script in _wanted(plugins):
        values = ", ".join(f"'{part}'" for part in (step.plugin, step.number, step.name, _checksum(script)))
        scripts += [script, f"INSERT INTO marketplace.migrations ({_COLUMNS}) VALUES ({values})"]  # noqa: S608
    return scripts


async def _run(name: str, step: Step, script: str, connection: Connection) -> None:
    """One transaction, statement by statement: so it is known which one fails."""
    if step.plugin != CORE:
        await connection.script(f'CREATE SCHEMA IF NOT EXISTS "{schema_of(step.plugin)}"')
    for number, statement in enumerate(split_statements(script), start=1):
        try:
            await connection.script(statement)
        except MarketplaceError:
            raise  # the server is away or busy: the script is not at fault
        except Exception as error:
            said, shown = (" ".join(str(text).split()) for text in (error, statement))
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
            raise MigrationError(
                f"migration {step.number} of {step.plugin!r}, {step.name!r}, failed on {name} at its statement {number}, "
                f"{shown} ({said})",
                "mend it and migrate again, nothing of it was kept",
            ) from error
    await connection.execute(
        f"INSERT INTO marketplace.migrations ({_COLUMNS}) VALUES ($1, $2, $3, $4)",  # noqa: S608
        step.plugin,
        step.number,
        step.name,
        _checksum(script),
    )
