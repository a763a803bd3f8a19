"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.users import Users
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.users import UsersContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.users.tests.wrong_users import MISTAKES, Mistake

Open = Callable[..., Awaitable[Marketplace]]
QUICK = {"auth": "hash_time = 1\nhash_memory = 1"}


class TestUsers(UsersContract):
    @pytest.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Open) -> Marketplace:
        return await marketplace(["auth", "users"], runner=request.param, settings=QUICK, worker=False)


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: Mistake, test: str, marketplace: Open) -> None:
    market = await marketplace(["auth", "users"], settings=QUICK, worker=False)
    right: Any = market.port(Users)
    given = {
        "users": Wrong(right, mistake(right)),
        "auth": market.port(Auth),
        "deliver": lambda event: market.deliver(Users, event),
    }
    await assert_contract_fails(UsersContract, test, **fixtures_of(UsersContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert {test for _, test in MISTAKES} == rules(UsersContract)
