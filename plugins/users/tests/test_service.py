"""Profiles and addresses, on either runner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from marketplace_core.capabilities.auth import Account
from marketplace_core.capabilities.users import ProfilePatch, Users
from marketplace_core.errors import Invalid
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Address, PageQuery

Person = Callable[..., Awaitable[Account]]
HOME = Address(name="Ada", line1="1 Test Street", city="Berlin", region="BE", postal_code="10115", country="DE")


async def _profiles(market: Marketplace) -> list[dict[str, Any]]:
    rows = await market.process.resources.database("main").fetch(
        "SELECT account_id, email, name, created_at FROM users.profiles"
    )
    return list(rows)


async def test_a_profile_is_built_from_auth_until_it_arrives(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person("ada@example.org", "admin")
    early = await users.get_profile(ada.id)
    assert (early.email, early.name, early.email_verified, early.roles) == ("ada@example.org", "Ada", False, ("admin",))
    assert (early.locale, early.preferences, early.created_at) == (None, {}, ada.created_at)
    assert await _profiles(market) == []
    await market.start_worker()
    await market.settle()
    expected = {"account_id": ada.id, "email": ada.email, "name": "Ada", "created_at": ada.created_at}
    assert await _profiles(market) == [expected]
    assert await users.get_profile(ada.id) == early


@pytest.mark.behaviour("all-8")
@pytest.mark.parametrize("value", [1e308, 2**63, "a\0b"])
async def test_preferences_hold_what_comes_back_as_it_was(market: Marketplace, person: Person, value: Any) -> None:
    users, ada = market.port(Users), await person()
    with pytest.raises(Invalid) as refused:
        await users.update_profile(ada.id, ProfilePatch(preferences={"a": value}), None)
    assert [problem.pointer for problem in refused.value.errors] == ["/preferences/a"]
    assert (await users.get_profile(ada.id)).preferences == {}


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ({f"p{n}": n for n in range(60)}, {f"q{n}": n for n in range(60)}, "length"),
        ({"a": "x" * 9_000}, {"b": "x" * 9_000}, "length"),
        ({}, {"a": [[[[[[[[[[1]]]]]]]]]]}, "range"),
    ],
)
async def test_preferences_have_limits(
    market: Marketplace, person: Person, first: dict[str, Any], second: dict[str, Any], code: str
) -> None:
    users, ada = market.port(Users), await person()
    await users.update_profile(ada.id, ProfilePatch(preferences=first), None)
    with pytest.raises(Invalid) as refused:
        await users.update_profile(ada.id, ProfilePatch(preferences=second), None)
    assert [(problem.pointer, problem.code) for problem in refused.value.errors] == [("/preferences", code)]
    assert (await users.get_profile(ada.id)).preferences == first


@pytest.mark.parametrize("runner", ["local"], indirect=False)
async def test_at_most_a_hundred_also_at_once(market: Marketplace, person: Person) -> None:
    users, ada, eve = market.port(Users), await person(), await person("eve@example.org")
    for _ in range(96):
        await users.add_address(ada.id, HOME)
    answers = await asyncio.gather(*(users.add_address(ada.id, HOME) for _ in range(8)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Invalid)]
    assert len(refused) == 4
    assert [problem.code for problem in refused[0].errors] == ["length"]
    pages = await users.list_addresses(ada.id, PageQuery(limit=100))
    assert (len(pages.items), pages.next) == (100, None)
    assert await users.add_address(eve.id, HOME)


async def test_who_follows_profiles_hears_what_may_follow_from_them_and_nothing_of_the_person(
    market: Marketplace, person: Person
) -> None:
    """Once for each change; what changes nothing is not told."""
    users, ada = market.port(Users), await person("ada@example.org")
    for patch in (
        ProfilePatch(name="Ada L.", locale="de"),
        ProfilePatch(locale="de"),
        ProfilePatch(preferences={"personalised": False, "size": "XL"}),
        ProfilePatch(preferences={"personalised": None}),
    ):
        await users.update_profile(ada.id, patch, None)
    told = [msgspec.json.decode(envelope.data) for envelope in await market.outgoing("users")]
    assert told == [
        {"account_id": ada.id, "locale": "de", "personalised": True},
        {"account_id": ada.id, "locale": "de", "personalised": False},
        {"account_id": ada.id, "locale": "de", "personalised": True},
    ]
