"""Webhooks are kept for so many days, and longer while they wait to be applied."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from marketplace_payments.stores.postgres import PURGE_WEBHOOKS

from marketplace_core.ports import webhooks
from marketplace_core.testing.plans import read_whole

DAY = 86_400
#: A schedule is no call: there is nothing that another runner would do otherwise.
pytestmark = pytest.mark.parametrize("desk", ["local"], indirect=True)


async def _came(desk: Any, id_: str, state: str) -> None:
    await desk.database.execute(
        "INSERT INTO payments.webhooks (gateway, id, event, body, state, at) VALUES ('simulator', $1, '{}', '', $2, $3)",
        id_,
        state,
        desk.market.clock.now(),
    )


async def _kept(desk: Any) -> list[str]:
    await desk.service.purge_webhooks()
    return [row["id"] for row in await desk.database.fetch("SELECT id FROM payments.webhooks ORDER BY id")]


async def test_old_webhooks_are_deleted(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PURGE_BATCH", 2)
    for id_, state in (("1", "applied"), ("2", "ignored"), ("3", "flagged"), ("4", "received"), ("5", "applied")):
        await _came(desk, id_, state)
    await desk.advance(20 * DAY)
    await _came(desk, "6", "applied")
    assert await _kept(desk) == ["1", "2", "3", "4", "5", "6"]
    await desk.advance(10 * DAY + 1)
    assert await _kept(desk) == ["4", "6"]
    await desk.advance(20 * DAY)
    assert await _kept(desk) == ["4"]


async def test_a_purge_reads_no_more_than_it_deletes(desk: Any) -> None:
    await desk.database.execute(
        "INSERT INTO payments.webhooks (gateway, id, event, body, state, at)"
        " SELECT 'simulator', n, '{}', '', 'applied', now() FROM generate_series(1, 20000) AS n"
    )
    await desk.database.execute("ANALYZE payments.webhooks")
    assert await read_whole(desk.database, PURGE_WEBHOOKS, desk.market.clock.now() - timedelta(days=30), 1000) == []
