"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core.adapters.postgres import Database
from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.users import Users
from marketplace_core.ports import UnitOfWork
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


class Outside:
    """A database on which a store's writes go their own way: the unit of work is none of theirs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on(self, uow: UnitOfWork) -> Database:
        return self._database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def test_the_suite_notices_what_is_written_outside_of_the_unit_of_work(marketplace: Open) -> None:
    """Nothing else of it is wrong, so it takes a rollback to see it: by ``wire``, which makes one before each command."""
    for runner in ("local", "wire"):
        market = await marketplace(["auth", "users"], runner=runner, settings=QUICK, worker=False)
        store = market.process.service("users")._store
        store._database = Outside(store._database)
        users, auth = market.port(Users), market.port(Auth)
        rule = "test_addresses_are_added_and_forgotten"
        given = fixtures_of(UsersContract, rule, {"users": users, "auth": auth})
        if runner == "local":
            await getattr(UsersContract(), rule)(**given)
        else:
            await assert_contract_fails(UsersContract, rule, **given)
