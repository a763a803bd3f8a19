"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest

from marketplace_core.capabilities.recommendations import Recommendations
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, rules
from marketplace_core.testing.contracts.recommendations import RecommendationsContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.recommendations.tests.conftest import PLUGINS, SETTINGS, Bench, learn, service_of
from plugins.recommendations.tests.wrong_recommendations import MISTAKES


class TestRecommendations(RecommendationsContract):
    @pytest.fixture
    async def market(self, marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
        return await marketplace(PLUGINS, runner="wire", settings=SETTINGS)

    @pytest.fixture
    def learn(self, market: Marketplace) -> Callable[[], Awaitable[None]]:
        return lambda: learn(market)


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
                street: Any = Bench(market, cast(Recommendations, Wrong(service, mistake(service))), lambda: learn(market))
                try:
                    await assert_contract_fails(RecommendationsContract, test, street=street)
                except pytest.fail.Exception as error:
                    raise AssertionError(f"{test} does not notice {mistake.__name__}") from error


def test_every_rule_is_broken_once() -> None:
    assert rules(RecommendationsContract) == set(MISTAKES)
    assert sum(map(len, MISTAKES.values())) >= 20
