"""Webhooks are kept for so many days, and longer while they wait to be applied."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from marketplace_logistics.stores.postgres import PURGE_WEBHOOKS

from marketplace_core.ports import webhooks
from marketplace_core.testing.plans import read_whole

DAY = 86_400


async def _came(bench: Any, id_: str, state: str) -> None:
    await bench.database.execute(
        "INSERT INTO logistics.webhooks (carrier, id, state, body, received_at) VALUES ('simulator', $1, $2, '', $3)",
        id_,
        state,
        bench.market.clock.now(),
    )


async def _kept(bench: Any) -> list[str]:
    await bench.market.process.service("logistics").purge_webhooks()
    return [row["id"] for row in await bench.database.fetch("SELECT id FROM logistics.webhooks ORDER BY id")]


async def test_old_webhooks_are_deleted(make_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PURGE_BATCH", 2)
    bench = await make_bench(started=False, worker=False, settings="webhook_days = 7")
    for id_, state in (("1", "applied"), ("2", "ignored"), ("3", "applied"), ("4", "accepted")):
        await _came(bench, id_, state)
    await bench.market.clock.advance(4 * DAY)
    await _came(bench, "5", "ignored")
    assert await _kept(bench) == ["1", "2", "3", "4", "5"]
    await bench.market.clock.advance(3 * DAY + 1)
    assert await _kept(bench) == ["4", "5"]
    await bench.market.clock.advance(4 * DAY)
    assert await _kept(bench) == ["4"]


async def test_a_purge_reads_no_more_than_it_deletes(make_bench: Any) -> None:
    bench = await make_bench(started=False, worker=False)
    await bench.database.execute(
        "INSERT INTO logistics.webhooks (carrier, id, state, body, received_at)"
        " SELECT 'simulator', n, 'applied', '', now() FROM generate_series(1, 20000) AS n"
    )
    await bench.database.execute("ANALYZE logistics.webhooks")
    assert await read_whole(bench.database, PURGE_WEBHOOKS, bench.market.clock.now() - timedelta(days=30), 1000) == []
