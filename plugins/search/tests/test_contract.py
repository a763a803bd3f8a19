"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.search import Search
from marketplace_core.events import Event
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.search import SearchContract
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Clock
from plugins.search.tests.wrong_services import MISTAKES


@pytest_asyncio.fixture
async def market(marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
    return await marketplace(["catalog", "search"], runner="wire", worker=False)


@pytest.fixture
def search(market: Marketplace) -> Search:
    return market.port(Search)


@pytest.fixture
def deliver(market: Marketplace) -> Callable[[Event], Awaitable[None]]:
    return lambda event: market.deliver(Search, event)


@pytest.fixture
def clock(market: Marketplace) -> Clock:
    return market.clock


class TestSearch(SearchContract):
    pass


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_suite_notices(
    name: str, search: Search, deliver: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = MISTAKES[name]
    monkeypatch.setattr(mistake.where, mistake.name, mistake.wrong)
    fixtures = fixtures_of(SearchContract, mistake.test, {"search": search, "deliver": deliver, "clock": clock})
    await assert_contract_fails(SearchContract, mistake.test, **fixtures)


def test_every_rule_is_broken_once() -> None:
    assert rules(SearchContract) - {mistake.test for mistake in MISTAKES.values()} == {
        "test_misspelt_words_are_mended_and_lost_ones_dropped_and_it_says_so",  # the store's, and broken there
    }
