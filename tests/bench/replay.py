"""Statements of PostgreSQL's log, sent again by psqlpy alone: what the same work costs without us."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from psqlpy import Connection, ConnectionPool
from watch import Transaction

__all__ = ["Replayed", "Step", "fresh", "pool", "prepare", "run"]

_PLACE = re.compile(r"\$(\d+)")
_OUTBOX_READ = "FROM marketplace.outbox WHERE relayed_at IS NULL"
_OUTBOX_MARK = "UPDATE marketplace.outbox SET relayed_at"


class Step(Struct, frozen=True):
    """A statement that takes its parameters as text."""

    sql: str
    params: tuple[str | None, ...]


class Replayed(Struct, frozen=True):
    explicit: bool
    steps: list[Step]


def pool(dsn: str, size: int = 8) -> ConnectionPool:
    return ConnectionPool(dsn=dsn, max_db_pool_size=size)


async def prepare(dsn: str, wanted: Sequence[Transaction]) -> list[Replayed]:
    """With each parameter's type, as PostgreSQL infers it, so that text will do for all of them."""
    connections = pool(dsn, 2)
    try:
        async with connections.acquire() as connection:
            return [
                Replayed(
                    transaction.explicit,
                    [Step(await _typed(connection, s.sql) if s.params else s.sql, s.params) for s in transaction.statements],
                )
                for transaction in wanted
            ]
    finally:
        connections.close()


async def _typed(connection: Connection, sql: str) -> str:
    await connection.execute_batch(f"PREPARE replayed AS {sql}")
    found = await connection.execute(
        "SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = 'replayed'"
    )
    await connection.execute_batch("DEALLOCATE replayed")
    types: list[str] = found.result()[0]["types"]
    return _PLACE.sub(lambda place: f"(${place[1]}::text)::{types[int(place[1]) - 1]}", sql)


async def run(connections: ConnectionPool, wanted: Sequence[Replayed], values: Mapping[str, str] | None = None) -> None:
    """Each transaction on a connection of the pool, as it was. ``values`` take the place of those texts in parameters.

    Rows of the outbox are read and marked by the ids that they have now.
    """
    outbox: list[int] = []
    for transaction in wanted:
        async with connections.acquire() as connection:
            if not transaction.explicit:
                await _execute(connection, transaction.steps[0], values, outbox)
                continue
            opened = connection.transaction()
            await opened.begin()
            for step in transaction.steps:
                await _execute(opened, step, values, outbox)
            await opened.commit()


async def _execute(connection: Any, step: Step, values: Mapping[str, str] | None, outbox: list[int]) -> None:
    params = list(_replaced(step.params, values) if values else step.params)
    mark, read = _OUTBOX_MARK in step.sql, _OUTBOX_READ in step.sql
    if mark or read:
        params[-1 if read else 0] = "{" + ",".join(map(str, outbox)) + "}"
    result = await connection.execute(step.sql, params)
    if mark:
        outbox.clear()
    if read and values:
        mine = tuple(values.values())
        outbox += [row["id"] for row in result.result() if any(value in row["payload"] for value in mine)]


def _replaced(params: Sequence[str | None], values: Mapping[str, str]) -> tuple[str | None, ...]:
    """By regular expression in one pass, so that a new value is not taken for an old one."""
    pattern = _pattern(tuple(values))
    return tuple(text and pattern.sub(lambda found: values[found[0]], text) for text in params)


_patterns: dict[tuple[str, ...], re.Pattern[str]] = {}


def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    if names not in _patterns:
        _patterns[names] = re.compile("|".join(map(re.escape, names)))
    return _patterns[names]


def fresh(names: Sequence[str]) -> dict[str, str]:
    """A new UUID for each of these texts, in quotes where they are."""
    return {name: f'"{uuid.uuid4()}"' if name.startswith('"') else str(uuid.uuid4()) for name in names}
