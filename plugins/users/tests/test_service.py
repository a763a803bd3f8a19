"""Profiles and addresses, on either runner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.auth import Account
from marketplace_core.capabilities.users import AddressPatch, ProfilePatch, Users
from marketplace_core.errors import Invalid, MarketplaceError, NotFound, PreconditionFailed
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Address, PageQuery, etag

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
    market.start_worker()
    await market.settle()
    expected = {"account_id": ada.id, "email": ada.email, "name": "Ada", "created_at": ada.created_at}
    assert await _profiles(market) == [expected]
    assert await users.get_profile(ada.id) == early


async def test_nobody_has_no_profile(market: Marketplace) -> None:
    users = market.port(Users)
    with pytest.raises(NotFound):
        await users.get_profile("nobody")
    with pytest.raises(NotFound):
        await users.update_profile("nobody", ProfilePatch(name="X"), None)


async def test_a_change_before_the_event_is_kept_by_it(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person()
    changed = await users.update_profile(ada.id, ProfilePatch(name="Countess", locale="en-GB"), None)
    assert (changed.name, changed.locale, changed.created_at) == ("Countess", "en-GB", ada.created_at)
    market.start_worker()
    await market.settle()
    assert await users.get_profile(ada.id) == changed


async def test_preferences_are_merged(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person()

    async def patch(preferences: Any) -> dict[str, Any]:
        answer = (await users.update_profile(ada.id, ProfilePatch(preferences=preferences), None)).preferences
        assert (await users.get_profile(ada.id)).preferences == answer
        return answer

    assert await patch({"theme": "dark", "mail": {"offers": True, "news": False}}) == {
        "theme": "dark",
        "mail": {"offers": True, "news": False},
    }
    assert await patch({"theme": None, "mail": {"news": None}, "sizes": [1, 2.5]}) == {
        "mail": {"offers": True},
        "sizes": [1, 2.5],
    }
    assert await patch({}) == {"mail": {"offers": True}, "sizes": [1, 2.5]}
    assert await patch(None) == {}


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


@pytest.mark.behaviour("all-4")
async def test_a_profile_is_changed_as_it_was_read(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person()
    # Keys in an order that the store does not keep.
    read = await users.update_profile(ada.id, ProfilePatch(preferences={"zz": 1, "a": 2}), None)
    assert etag(read) == etag(await users.get_profile(ada.id))
    changed = await users.update_profile(ada.id, ProfilePatch(name="B"), etag(read))
    with pytest.raises(PreconditionFailed):
        await users.update_profile(ada.id, ProfilePatch(name="C"), etag(read))
    assert await users.get_profile(ada.id) == changed


async def test_parallel_first_changes_make_one_profile(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person()
    patches = [ProfilePatch(preferences={f"p{n}": n}) for n in range(6)]
    await asyncio.gather(*(users.update_profile(ada.id, patch, None) for patch in patches))
    assert (await users.get_profile(ada.id)).preferences == {f"p{n}": n for n in range(6)}
    assert len(await _profiles(market)) == 1


@pytest.mark.behaviour("all-1")
async def test_a_repeat_under_a_key_changes_nothing_more(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person()
    with calls.scope(calls.Call(key="k")):
        first = await users.add_address(ada.id, HOME)
    with calls.scope(calls.Call(key="k")) as outcome:
        assert await users.add_address(ada.id, HOME) == first
    assert outcome.replayed
    with calls.scope(calls.Call(key="k")), pytest.raises(MarketplaceError) as reused:
        await users.add_address(ada.id, Address(name="B", line1="2", city="X", postal_code="1", country="DE"))
    assert reused.value.code == "idempotency_key_reused"
    assert (await users.list_addresses(ada.id, PageQuery())).items == [first]


async def test_addresses_are_added_changed_and_forgotten(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person()
    home = await users.add_address(ada.id, HOME)
    assert (home.name, home.line2, home.region, home.country) == ("Ada", "", "BE", "DE")
    work = await users.add_address(ada.id, HOME)
    assert await users.get_address(ada.id, home.id) == home
    changed = await users.update_address(ada.id, home.id, AddressPatch(city="Köln", region=None), etag(home))
    assert (changed.city, changed.region, changed.line1) == ("Köln", "", home.line1)
    assert (await users.list_addresses(ada.id, PageQuery())).items == [work, changed]
    with pytest.raises(PreconditionFailed):
        await users.update_address(ada.id, home.id, AddressPatch(city="Bonn"), etag(home))
    with pytest.raises(PreconditionFailed):
        await users.delete_address(ada.id, home.id, etag(home))
    await users.delete_address(ada.id, home.id, etag(changed))
    with pytest.raises(NotFound):
        await users.delete_address(ada.id, home.id, None)
    assert (await users.list_addresses(ada.id, PageQuery())).items == [work]


async def test_an_address_of_another_is_not_found(market: Marketplace, person: Person) -> None:
    users, ada, eve = market.port(Users), await person(), await person("eve@example.org")
    home = await users.add_address(ada.id, HOME)
    for attempt in (
        users.get_address(eve.id, home.id),
        users.update_address(eve.id, home.id, AddressPatch(city="X"), None),
        users.delete_address(eve.id, home.id, None),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await users.list_addresses(eve.id, PageQuery())).items == []
    assert await users.get_address(ada.id, home.id) == home


@pytest.mark.behaviour("all-3")
async def test_pages_stay_while_addresses_are_added(market: Marketplace, person: Person) -> None:
    users, ada = market.port(Users), await person()
    added = [(await users.add_address(ada.id, HOME)).id for _ in range(5)]
    first = await users.list_addresses(ada.id, PageQuery(limit=2))
    await users.add_address(ada.id, HOME)
    second = await users.list_addresses(ada.id, PageQuery(limit=2, cursor=first.next))
    third = await users.list_addresses(ada.id, PageQuery(limit=2, cursor=second.next))
    ids = [address.id for page in (first, second, third) for address in page.items]
    assert (ids, third.next) == (added[::-1], None)


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
