"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core.capabilities.auth import Auth
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, rules
from marketplace_core.testing.contracts.auth import AuthContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.auth.tests import wrong_auth, wrong_keys, wrong_sessions
from plugins.auth.tests.wrong_auth import Mistake

Open = Callable[..., Awaitable[Marketplace]]
MISTAKES = [*wrong_auth.MISTAKES, *wrong_sessions.MISTAKES, *wrong_keys.MISTAKES]
QUICK = {"auth": "hash_time = 1\nhash_memory = 1"}


class TestAuth(AuthContract):
    @pytest.fixture(params=["local", "wire"])
    async def auth(self, request: pytest.FixtureRequest, marketplace: Open) -> Auth:
        return (await marketplace(["auth"], runner=request.param, settings=QUICK, worker=False)).port(Auth)


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: Mistake, test: str, marketplace: Open) -> None:
    right: Any = (await marketplace(["auth"], settings=QUICK, worker=False)).port(Auth)
    await assert_contract_fails(AuthContract, test, auth=Wrong(right, mistake(right)))


def test_every_rule_is_broken_once() -> None:
    assert {test for _, test in MISTAKES} == rules(AuthContract)
