"""Migrations: numbered per plugin and store, forward only, one at a time whoever else migrates.

A script is a list of MongoDB's own commands as JSON, such as ``createIndexes``. Few of them can be part of a transaction, so
each must be one that may run twice: a step that failed, or whose process died, runs again from its beginning. A collection that
is there already is not made again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

import msgspec
from pymongo.errors import ConfigurationError, OperationFailure

from marketplace_core.adapters.mongo.leases import lease
from marketplace_core.adapters.mongo.schema import CORE_MIGRATIONS, MIGRATIONS, PROOF, WRITER
from marketplace_core.adapters.mongo.server import Connection, Database
from marketplace_core.errors import MarketplaceError
from marketplace_core.hookspecs import Migration
from marketplace_core.ports.servers import MigrationError, Step
from marketplace_core.values import new_id

__all__ = ["CORE", "check_server", "commands_of", "migrate_database", "missing_steps"]

CORE = "marketplace"
#: That of MongoDB 4.4, the first whose transactions make the collections that they write to.
OLDEST_WIRE = 9
#: What is said to who begins a transaction where there are none: IllegalOperation, OperationNotSupportedInTransaction.
_NO_TRANSACTIONS = {20, 263}
_EXISTS = 48
#: As much of a command as a message shows.
_SHOWN = 120

Wanted = list[tuple[Step, str]]
Done = Mapping[tuple[str, int], str]


async def check_server(database: Database, *, assumed: bool = False) -> None:
    """``assumed``: that it is of a replica set, which it does not say.

    :raises MigrationError: the server is too old, has no transactions, or is of no replica set.
    """
    told = await database.hello()
    if told.get("maxWireVersion", 0) < OLDEST_WIRE:
        raise MigrationError(f"{database.name} is on an old MongoDB", "use 4.4 or later")
    proof = [f"{new_id()}-{number}" for number in (1, 2)]

    async def prove(connection: Connection) -> None:
        await connection.insert(PROOF, [{"_id": each} for each in proof])
        await connection.delete(PROOF, {"_id": {"$in": proof}})

    try:
        await database.transact(prove)
    except (OperationFailure, ConfigurationError) as error:
        if isinstance(error, OperationFailure) and error.code not in _NO_TRANSACTIONS:
            raise
        raise MigrationError(f"{database.name} has no transactions", "make it a replica set, if only of one") from error
    if not (assumed or "setName" in told or told.get("msg") == "isdbgrid"):
        raise MigrationError(
            f"{database.name} has transactions and is of no replica set",
            'make it one, or write replica_set = "assumed" for a trial',
        )


def commands_of(script: str) -> list[dict[str, Any]]:
    """:raises msgspec.DecodeError: it is no list of commands."""
    return msgspec.json.decode(script, type=list[dict[str, Any]])


def _wanted(plugins: Mapping[str, Sequence[Migration]]) -> Wanted:
    core = [(Step(CORE, number, f"core_{number}"), script) for number, script in enumerate(CORE_MIGRATIONS, start=1)]
    own = [(Step(plugin, each.number, each.name), each.script) for plugin, steps in plugins.items() for each in steps]
    return core + own


async def _done(database: Database) -> Done:
    rows = await database.find(MIGRATIONS, {})
    return {(row["_id"]["plugin"], row["_id"]["number"]): row["checksum"] for row in rows}


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
        if done.get((step.plugin, step.number), own := _checksum(script)) != own:
            raise MigrationError(
                f"migration {step.number} of {step.plugin!r}, {step.name!r}, was changed after {name} ran it",
                "put back what it was, and write the change as a migration of the next number",
            )


async def missing_steps(database: Database, plugins: Mapping[str, Sequence[Migration]], *, assumed: bool = False) -> list[Step]:
    """What :func:`migrate_database` would run."""
    await check_server(database, assumed=assumed)
    wanted, done = _wanted(plugins), await _done(database)
    _check(database.name, done, wanted, {CORE, *plugins})
    return [step for step, _ in wanted if (step.plugin, step.number) not in done]


async def migrate_database(
    database: Database,
    plugins: Mapping[str, Sequence[Migration]],
    progress: Callable[[Step], None] = lambda _: None,
    *,
    assumed: bool = False,
) -> list[Step]:
    """Bring one database up to date. Two that migrate at once take turns, and the second finds nothing to do."""
    await check_server(database, assumed=assumed)
    async with lease(database, "migrate") as lost:
        running = asyncio.create_task(_migrate(database, plugins, progress))
        await asyncio.wait([lost, running], return_when=asyncio.FIRST_COMPLETED)
        if lost.done() and not running.done():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await lost  # raises why
        return await running


async def _migrate(
    database: Database, plugins: Mapping[str, Sequence[Migration]], progress: Callable[[Step], None]
) -> list[Step]:
    ran: list[Step] = []
    wanted, done = _wanted(plugins), await _done(database)
    _check(database.name, done, wanted, {CORE, *plugins})
    if await database.find_one(WRITER, {}) is None:
        await database.insert(WRITER, [{"_id": new_id().replace("-", "")[-12:]}])
    for step, script in wanted:
        if (step.plugin, step.number) not in done:
            await _run(database, step, script)
            progress(step)
            ran.append(step)
    return ran


async def _command(database: Database, command: Mapping[str, Any]) -> None:
    try:
        await database.command({**command, "writeConcern": {"w": "majority"}})
    except OperationFailure as error:
        if error.code != _EXISTS or "create" not in command:
            raise


async def _run(database: Database, step: Step, script: str) -> None:
    """Command by command: so it is known which one fails."""
    number = 0
    command: Mapping[str, Any] = {}
    try:
        for number, command in enumerate(commands_of(script), start=1):  # noqa: B007 - a message tells of them
            await _command(database, command)
    except MarketplaceError:
        raise  # the server is away or busy: the script is not at fault
    except Exception as error:
        said, shown = (" ".join(str(text).split()) for text in (error, msgspec.json.encode(command).decode()))
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        raise MigrationError(
            f"migration {step.number} of {step.plugin!r}, {step.name!r}, failed on {database.name} at its command {number}, "
            f"{shown} ({said})",
            "mend it and migrate again: it runs from its beginning",
        ) from error
    row = {"_id": {"plugin": step.plugin, "number": step.number}, "name": step.name, "checksum": _checksum(script)}
    await database.insert(MIGRATIONS, [{**row, "at": datetime.now(UTC)}])
