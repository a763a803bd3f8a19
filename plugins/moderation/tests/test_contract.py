"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.moderation import Moderation
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.moderation import ModerationContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.moderation.tests.conftest import PLUGINS, Open
from plugins.moderation.tests.wrong_moderation import MISTAKES


class TestModeration(ModerationContract):
    @pytest_asyncio.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Open) -> Marketplace:
        return await marketplace(PLUGINS, runner=request.param, worker=False)


@pytest.mark.parametrize(("test", "name"), [(test, name) for test, wrong in MISTAKES.items() for name in wrong])
async def test_the_suite_notices(test: str, name: str, market: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Any = market.port(Moderation)
    given = {"moderation": Wrong(right, MISTAKES[test][name](right, monkeypatch)), "market": market}
    await assert_contract_fails(ModerationContract, test, **fixtures_of(ModerationContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(ModerationContract) == set(MISTAKES)
