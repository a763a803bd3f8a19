"""That the suite of routes notices what clients would. Over our own plugins it runs on the deployment of the scenarios."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from marketplace_core.testing.contracts import assert_contract_fails, rules
from marketplace_core.testing.contracts.http import HttpContract
from marketplace_core.testing.marketplace import Marketplace
from tests.contracts import wrong_http as wrong

QUICK = {"auth": "hash_time = 1\nhash_memory = 8"}


class OfUsers(HttpContract):
    capabilities = ("users",)


@pytest.mark.parametrize(("mistake", "test"), wrong.MISTAKES)
async def test_the_suite_notices(
    mistake: wrong.Routers,
    test: str,
    marketplace: Callable[..., Awaitable[Marketplace]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("marketplace_users.plugin.users_routers", mistake)
    market = await marketplace(["auth", "users"], settings=QUICK, http=True, worker=False)
    await assert_contract_fails(OfUsers, test, market=market)


def test_each_rule_has_a_mistake() -> None:
    assert {test for _, test in wrong.MISTAKES} == rules(HttpContract)
