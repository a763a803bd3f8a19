"""A folder of chdb in a process of its own, which is what it needs. As a program: ``floor FOLDER EVENTS``, ``count FOLDER``,
``reports FOLDER SHARE RUNS``; prints what it found as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from datetime import date
from itertools import islice
from typing import Any, get_args

from marketplace_analytics.config import AnalyticsConfig
from marketplace_analytics.retention import Keeper
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.stores import schema
from marketplace_analytics.stores.clickhouse import ONCE, ClickHouseStore
from marketplace_analytics.worker import SINKS
from sink_events import SHARES, messages
from sink_rows import FIRST, LAST, fill

from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.capabilities import load_all
from marketplace_core.capabilities.analytics import AdminReportQuery, ReportName
from marketplace_core.values import SystemClock

[SINK] = SINKS
#: The sink writes what waits of all partitions at once.
PARTITIONS = 4


async def floor(client: ClickHouse, events: str) -> dict[str, float]:
    """Seconds that the driver takes to insert the same rows, which are made beforehand, in batches as large as the sink's."""
    keeper, store = Keeper(b"key"), ClickHouseStore(client)
    source, batches = messages(int(events)), []
    while batch := list(islice(source, SINK.size * PARTITIONS)):
        rows = defaultdict(list)
        for message in batch:
            rows[message.type].append(keeper.row(message.open()))
        batches.append({schema.table_of(type_): keeper.lines(found) for type_, found in rows.items()})
    await store._make(cls.type for cls in SHARES)
    began = time.perf_counter()
    for tables in batches:
        for table, lines in tables.items():
            await client.insert(table, lines)
    return {"seconds": time.perf_counter() - began}


async def count(client: ClickHouse) -> dict[str, list[int]]:
    """By type of event: rows that stand there, rows as reports count them, and different ids."""
    found = {}
    for cls in SHARES:
        table = schema.table_of(cls.type)
        [there] = await client.query(f"SELECT count() AS rows FROM {table}")  # noqa: S608 - a name out of the catalogue
        [once] = await client.query(f"SELECT count() AS rows, uniqExact(_id) AS ids FROM {table} {ONCE}")  # noqa: S608
        found[cls.type] = [there["rows"], once["rows"], once["ids"]]
    return found


async def reports(client: ClickHouse, share: str, runs: str) -> dict[str, Any]:
    """Milliseconds of each report over all events, by day and by month; the first of each is not counted."""
    service = AnalyticsService(ClickHouseStore(client), SystemClock(), b"key", "EUR", AnalyticsConfig())
    began = time.perf_counter()
    events = await fill(client, float(share))
    filled = time.perf_counter() - began
    found: dict[str, Any] = {}
    for name in get_args(ReportName):
        for interval in ("day", "month"):
            query = AdminReportQuery(from_=date.fromisoformat(FIRST), to=date.fromisoformat(LAST), interval=interval)  # type: ignore[arg-type]
            took = []
            for _ in range(int(runs) + 1):
                began = time.perf_counter()
                report = await service.report(name, query)
                took.append(1000 * (time.perf_counter() - began))
            if not report.items:
                raise RuntimeError(f"{name} is empty")
            found[f"{name}, by {interval}"] = took[1:]
    return {"events": events, "seconds": filled, "took": found}


async def main(act: str, folder: str, *arguments: str) -> None:
    load_all()
    client = ClickHouse(f"chdb://{folder}")
    acts: dict[str, Any] = {"floor": floor, "count": count, "reports": reports}
    print(json.dumps(await acts[act](client, *arguments)), flush=True)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
