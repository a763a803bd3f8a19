"""Reservations that have ended are remembered for so many days, and found by whoever comes late until then."""

from __future__ import annotations

from typing import Any

import pytest
from marketplace_catalog import service

from marketplace_core.capabilities.catalog import LineRequest, SellerRef
from marketplace_core.errors import Conflict
from marketplace_core.testing.contracts.orders import list_variants
from marketplace_core.values import new_id

DAY = 86_400


async def _keys(bench: Any) -> list[str]:
    return [row["key"] for row in await bench.database.fetch("SELECT key FROM catalog.reservations ORDER BY key")]


async def test_ended_reservations_are_forgotten(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FORGET_BATCH", 2)
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
