"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from marketplace_core.capabilities.recommendations import FeedQuery, Recommendations, RecommendedCard
from marketplace_core.feed import read_feed
from marketplace_core.ports import FeedStore
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, rules
from marketplace_core.testing.contracts.recommendations import RecommendationsContract
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Page
from plugins.recommendations.tests.conftest import PLUGINS, SETTINGS, Bench, learn, service_of
from plugins.recommendations.tests.wrong_recommendations import MISTAKES


@pytest.mark.behaviour("recommendations-1", "search-3")
class TestRecommendations(RecommendationsContract):
    @pytest.fixture
    async def market(self, marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
        return await marketplace(PLUGINS, runner="wire", settings=SETTINGS)

    @pytest.fixture
    def learn(self, market: Marketplace) -> Callable[[], Awaitable[None]]:
        return lambda: learn(market)


class Whole:
    """The service, and the feed that it builds as others read it."""

    def __init__(self, service: Any, feeds: FeedStore) -> None:
        self._service, self._feed_store = service, feeds

    async def get_feed(self, query: FeedQuery) -> Page[RecommendedCard]:
        return await read_feed(self._feed_store, query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)


@contextlib.contextmanager
def spoilt(service: Any) -> Iterator[None]:
    """Whatever a mistake puts in the place of the service's parts is gone again afterwards."""
    parts = [service, service._store, service._recents, service._lists]
    before = [dict(vars(part)) for part in parts]
    yield
    for part, kept in zip(parts, before, strict=True):
        vars(part).clear()
        vars(part).update(kept)


@pytest.mark.parametrize("tests", [sorted(MISTAKES)[n::4] for n in range(4)], ids="abcd")
async def test_the_suite_notices(tests: list[str], marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    """On one marketplace for several: what else is on its shelves does not matter to the rules."""
    market = await marketplace(PLUGINS, settings=SETTINGS)
    service = service_of(market)
    for test in tests:
        right = Bench(market, market.port(Recommendations), lambda: learn(market))
        await getattr(RecommendationsContract(), test)(right)
        for mistake in MISTAKES[test]:
            with spoilt(service):
                whole = Whole(service, market.process.feeds)
                wrong: Any = Wrong(whole, mistake(whole))
                street = Bench(market, wrong, lambda: learn(market), wrong.get_feed)
                try:
                    await assert_contract_fails(RecommendationsContract, test, street=street)
                except pytest.fail.Exception as error:
                    raise AssertionError(f"{test} does not notice {mistake.__name__}") from error


def test_every_rule_is_broken_once() -> None:
    assert rules(RecommendationsContract) == set(MISTAKES)
    assert sum(map(len, MISTAKES.values())) >= 20
