"""Events in ClickHouse: in chdb, which one process opens, or on a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from marketplace_analytics.store import AnalyticsStore, Asked, Unread
from marketplace_analytics.stores import reports, schema
from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.capabilities.analytics import ReportName
from marketplace_core.context import PluginContext
from marketplace_core.events import EVENTS

__all__ = ["ClickHouseStore", "make"]

Rows = Mapping[str, bytes]
#: Each row is of one id, whatever was written again: deduplicated where it is read, partition by partition.
ONCE = " SETTINGS final = 1, do_not_merge_across_partitions_select_final = 1, join_use_nulls = 1"
HOWEVER_OFTEN = " SETTINGS join_use_nulls = 1"


class ClickHouseStore(AnalyticsStore):
    def __init__(self, client: ClickHouse) -> None:
        self._client = client
        self._making = asyncio.Lock()
        self._made: frozenset[str] = frozenset()
        self._waiting: list[tuple[Rows, Sequence[Unread], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, rows: Rows, unread: Sequence[Unread] = ()) -> None:
        await self._make(rows)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, unread, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        """Every insert is a part that has to be merged later: who comes while one is under way shares the next one."""
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                await self._insert([rows for rows, _, _ in taken], [one for _, unread, _ in taken for one in unread])
            except Exception as error:
                for _, _, done in taken:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, _, done in taken:
                    if not done.done():
                        done.set_result(None)

    async def _insert(self, batches: Sequence[Rows], unread: Sequence[Unread]) -> None:
        by_type: dict[str, list[bytes]] = {}
        for rows in batches:
            for type_, lines in rows.items():
                by_type.setdefault(type_, []).append(lines)
        for type_, parts in by_type.items():
            await self._client.insert(schema.table_of(type_), b"".join(parts))
        if unread:
            await self._client.insert("_unread", b"\n".join(msgspec.json.encode(one) for one in unread))

    async def _make(self, kinds: Iterable[str]) -> None:
        """Tables of these types of event, with all columns that this release knows."""
        wanted = frozenset(kinds)
        if wanted <= self._made:
            return
        async with self._making:
            missing = wanted - self._made
            found = await self._client.query(
                "SELECT table, name, type FROM system.columns"
                " WHERE database = currentDatabase() AND table IN {tables:Array(String)}",
                {"tables": [schema.table_of(type_) for type_ in missing]},
            )
            known: dict[str, dict[str, str]] = {}
            for row in found:
                known.setdefault(row["table"], {})[row["name"]] = row["type"]
            if not self._made:
                for statement in schema.OWN:
                    await self._client.command(statement)
            for type_ in sorted(missing):
                for statement in schema.making(EVENTS[type_], known.get(schema.table_of(type_))):
                    await self._client.command(statement)
            self._made |= missing

    async def _kept(self) -> list[str]:
        """The types of event that have a table."""
        rows = await self._client.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
        there = {row["name"] for row in rows}
        return [type_ for type_ in sorted(EVENTS) if schema.table_of(type_) in there]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def report(self, name: ReportName, asked: Asked) -> list[dict[str, Any]]:
        await self._make(reports.READ[name])
        sql, parameters = reports.statement(name, asked)
        return await self._client.query(sql + (HOWEVER_OFTEN if name in reports.REPEATABLE else ONCE), parameters)

    async def as_of(self) -> datetime | None:
        """Of each table by itself: its parts know their last moment, and nothing is read."""
        if not (kept := await self._kept()):
            return None
        each = (f"SELECT count() AS events, max(_at) AS at FROM {schema.table_of(type_)}" for type_ in kept)
        [row] = await self._client.query(f"SELECT sum(events) AS events, max(at) AS at FROM ({' UNION ALL '.join(each)})")
        return row["at"].replace(tzinfo=UTC) if row["events"] else None

    # ── persons ──────────────────────────────────────────────────────────────────────────────────────────────

    async def forgotten(self) -> set[str]:
        await self._client.command(schema.FORGOTTEN)
        return {row["mark"] for row in await self._client.query("SELECT mark FROM _forgotten")}

    async def forget(self, mark: str) -> None:
        await self._client.command(schema.FORGOTTEN)
        await self._client.insert("_forgotten", msgspec.json.encode({"mark": mark}))
        kept = await self._kept()
        await self._make(kept)
        for type_ in kept:
            for statement in schema.erasing(EVENTS[type_]):
                await self._client.command(statement, {"mark": mark})

    async def clear(self) -> None:
        for type_ in await self._kept():
            await self._client.command(f"TRUNCATE TABLE {schema.table_of(type_)}")


def make(context: PluginContext) -> ClickHouseStore:
    return ClickHouseStore(context.connection())
