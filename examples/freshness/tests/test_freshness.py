"""What is new comes first, where nothing else tells two products apart; one that fails ranks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from marketplace_freshness.config import FreshnessConfig
from marketplace_freshness.plugin import Freshness

from marketplace_core.capabilities.catalog import ProductChanged, Rating
from marketplace_core.capabilities.search import RankedHit, Ranking, Search, SearchQuery
from marketplace_core.testing.contracts.search import page
from marketplace_core.testing.marketplace import Marketplace

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def _hit(id_: str, days: float | None) -> RankedHit:
    made = None if days is None else NOW - timedelta(days=days)
    return RankedHit(id=id_, seller_id="s", price=1, rating=Rating(), in_stock=True, created_at=made, score=1.0)


async def test_half_of_it_after_half_a_life() -> None:
    ranking = Ranking("pot", [_hit("new", 0), _hit("old", 14), _hit("unknown", None)], NOW)
    given = await Freshness(FreshnessConfig()).search_ranking(ranking)
    assert given == {"freshness": {"new": 1.5, "old": 1.25}}


async def test_the_new_comes_first(marketplace: Callable[..., Awaitable[Marketplace]], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"freshness": "raise_by = 1.0\nhalf_life_days = 0.0001"}
    market = await marketplace(["catalog", "search", "freshness"], worker=False, settings=settings)
    search = market.port(Search)
    titles = ["Old Copper Pot", "New Copper Pot"]
    for title in titles:
        shown = page(title)
        if title.startswith("Old"):
            shown = type(shown)(**{**{f: getattr(shown, f) for f in shown.__struct_fields__}, "id": "01920000" + shown.id[8:]})
        await market.deliver(Search, ProductChanged(product_id=shown.id, seller_id="s", status="published", page=shown))

    async def found() -> list[str]:
        return [hit.title for hit in (await search.search(SearchQuery(q="copper pot"))).items]

    assert await found() == titles[::-1]

    async def slow(ranking: Ranking) -> dict[str, dict[str, float]]:
        await asyncio.sleep(5)
        return {}

    monkeypatch.setitem(market.process.extensions._implementations, "search_ranking", [("freshness", slow)])
    began = asyncio.get_running_loop().time()
    assert sorted(await found()) == sorted(titles)
    assert asyncio.get_running_loop().time() - began < 2
