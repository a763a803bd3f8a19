"""What the saga engine keeps of a saga, as rows of its tables, and a saga of an earlier release in the tables of today."""

from __future__ import annotations

import asyncio

import dbos
import msgspec
from msgspec import Struct

from marketplace_core.adapters.dbos.engine import SCHEMA, engine_url
from marketplace_core.adapters.postgres import Database

__all__ = ["EngineRows", "put_back", "rows"]

#: The tables that a running saga needs, with the column of its id. What it ends with stands in another.
TABLES = {
    "workflow_status": "workflow_uuid",
    "workflow_input": "workflow_uuid",
    "operation_outputs": "workflow_uuid",
    "notifications": "destination_uuid",
}


class EngineRows(Struct, frozen=True):
    """A saga's rows, by table."""

    tables: dict[str, list[dict[str, object]]]


async def rows(database: Database, saga_id: str) -> EngineRows:
    found = {}
    for table, column in TABLES.items():
        sql = f"SELECT row_to_json(t)::text AS row FROM {SCHEMA}.{table} t WHERE {column} = $1 ORDER BY t"  # noqa: S608
        found[table] = [msgspec.json.decode(row["row"]) for row in await database.fetch(sql, saga_id)]
    return EngineRows(found)


async def put_back(database: Database, kept: EngineRows) -> None:
    """As a process left it that was killed when all steps were recorded and the end was not."""
    await asyncio.to_thread(dbos.DBOS.migrate, engine_url(database.dsn), schema=SCHEMA)
    for table, found in kept.tables.items():
        for row in found:
            running = {"status": "PENDING", "completed_at": None} if table == "workflow_status" else {}
            await _insert(database, table, row | running)


async def _insert(database: Database, table: str, row: dict[str, object]) -> None:
    """The columns of then: those that have come since have their defaults."""
    columns = ", ".join(f'"{name}"' for name in row)
    source = f"json_populate_record(NULL::{SCHEMA}.{table}, $1::text::json)"
    sql = f"INSERT INTO {SCHEMA}.{table} ({columns}) SELECT {columns} FROM {source}"  # noqa: S608
    await database.execute(sql, msgspec.json.encode(row).decode())
