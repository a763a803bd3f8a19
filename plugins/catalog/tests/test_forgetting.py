"""Reservations that have ended are remembered for so many days, and found by whoever comes late until then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from marketplace_catalog import reservations
from marketplace_catalog.stores.postgres_stock import FORGET_COMMITTED, FORGET_GIVEN_BACK

from marketplace_core.adapters.postgres import Database
from marketplace_core.capabilities.catalog import LineRequest, SellerRef
from marketplace_core.errors import Conflict
from marketplace_core.testing.contracts.orders import list_variants
from marketplace_core.testing.plans import read_whole
from marketplace_core.values import SystemClock, new_id

DAY = 86_400


async def _keys(bench: Any) -> list[str]:
    return [row["key"] for row in await bench.database.fetch("SELECT key FROM catalog.reservations ORDER BY key")]


async def test_ended_reservations_are_forgotten(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "FORGET_BATCH", 2)
    [variant] = await list_variants(bench.catalog, SellerRef(new_id(), "Kettle"), 1)
    lines = [LineRequest(variant, 1)]
    for key in ("committed", "expired", "given back", "held", "renewed"):
        await bench.catalog.reserve(key, lines, 60)
    await bench.catalog.commit("committed")
    await bench.catalog.release("given back")
    await bench.catalog.release("never held")
    await bench.catalog.extend("held", bench.clock.now().replace(year=bench.clock.now().year + 1))
    await bench.later(29 * DAY)
    assert await _keys(bench) == ["committed", "expired", "given back", "held", "never held", "renewed"]
    with pytest.raises(Conflict, match=r"orders\.out_of_stock"):
        await bench.catalog.reserve("never held", lines, 60)
    await bench.catalog.commit("renewed")
    await bench.later(1 * DAY + 61)
    assert await _keys(bench) == ["committed", "held", "renewed"]
    await bench.catalog.restock("renewed")
    await bench.later(29 * DAY)
    assert await _keys(bench) == ["committed", "held", "renewed"], "it was given back only now"
    await bench.later(1 * DAY + 1)
    assert await _keys(bench) == ["committed", "held"]
    await bench.later(305 * DAY)
    assert await _keys(bench) == ["held"]


@pytest.mark.parametrize("statement", [FORGET_COMMITTED, FORGET_GIVEN_BACK])
async def test_forgetting_reads_no_more_than_it_deletes(catalog_database: Database, statement: str) -> None:
    await catalog_database.execute(
        "INSERT INTO catalog.reservations (key, status, lines, expires_at, created_at, ended_at)"
        " SELECT n, (ARRAY['committed', 'released', 'held'])[1 + n % 3], '[]', now(), now(), now()"
        " FROM generate_series(1, 20000) AS n"
    )
    await catalog_database.execute("ANALYZE catalog.reservations")
    assert await read_whole(catalog_database, statement, SystemClock().now() - timedelta(days=30), 1000) == []
