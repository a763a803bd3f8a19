"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

import pytest
from marketplace_analytics.service import AnalyticsService

from marketplace_core.capabilities.analytics import Analytics
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.analytics import AnalyticsContract
from plugins.analytics.tests.wrong_services import MISTAKES


@pytest.fixture
def analytics(service: AnalyticsService) -> Analytics:
    return service


class TestAnalytics(AnalyticsContract):
    pass


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_suite_notices(name: str, analytics: Analytics, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake = MISTAKES[name]
    monkeypatch.setattr(mistake.where, mistake.name, mistake.wrong)
    fixtures = fixtures_of(AnalyticsContract, mistake.test, {"analytics": analytics})
    await assert_contract_fails(AnalyticsContract, mistake.test, **fixtures)


def test_every_rule_is_broken_once() -> None:
    assert rules(AnalyticsContract) == {mistake.test for mistake in MISTAKES.values()}
