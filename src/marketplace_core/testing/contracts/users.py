"""What a provider of :class:`~marketplace_core.capabilities.users.Users` must do, on its port alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import asdict

from marketplace_core import calls
from marketplace_core.capabilities.auth import Account, Auth, Client, Registered, Registration
from marketplace_core.capabilities.users import AddressPatch, ProfilePatch, SavedAddress, Users
from marketplace_core.errors import BadCursor, NotFound, PreconditionFailed
from marketplace_core.events import Event
from marketplace_core.testing.contracts import paged, refused, together
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Address, PageQuery, etag, new_id

__all__ = ["UsersContract"]

Deliver = Callable[[Event], Awaitable[None]]

HOME = Address(
    name="Ada",
    line1="1 Test Street",
    line2="Left",
    city="Berlin",
    region="BE",
    postal_code="10115",
    country="DE",
    phone="+49 1",
)
WORK = Address(name="Ada", line1="2 Test Street", city="Paris", postal_code="75001", country="FR")


async def _person(auth: Auth, name: str = "Ada") -> Account:
    """Somebody who has registered, of which no event has been heard yet."""
    registration = Registration(f"{name.lower()}-{new_id()[-12:]}@example.org", "a fine password", name)
    signed = await auth.register(registration, Client("buyer"))
    [account] = await auth.get_accounts([signed.user.id])
    return account


def _registered(account: Account) -> Registered:
    return Registered(account_id=account.id, email=account.email, name=account.name, created_at=account.created_at)


async def _addresses(users: Users, account: Account) -> list[SavedAddress]:
    return (await users.list_addresses(account.id, PageQuery(limit=100))).items


class UsersContract:
    """Fixture: ``market``, a marketplace with the provider and one of auth, whose worker does not run.

    Of it are made ``users`` and ``auth``, the ports, and ``await deliver(event)``, which has the provider apply an event of
    another capability, twice.
    """

    @pytest.fixture
    def users(self, market: Marketplace) -> Users:
        return market.port(Users)

    @pytest.fixture
    def auth(self, market: Marketplace) -> Auth:
        return market.port(Auth)

    @pytest.fixture
    def deliver(self, market: Marketplace) -> Deliver:
        return lambda event: market.deliver(Users, event)

    # ── the profile and its event ────────────────────────────────────────────────────────────────────────────

    async def test_a_profile_is_built_from_auth_until_it_arrives(self, users: Users, auth: Auth, deliver: Deliver) -> None:
        ada = await _person(auth)
        early = await users.get_profile(ada.id)
        assert (early.id, early.email, early.name, early.created_at) == (ada.id, ada.email, "Ada", ada.created_at)
        assert (early.email_verified, early.locale, early.preferences, early.roles) == (False, None, {}, ())
        await deliver(_registered(ada))
        assert await users.get_profile(ada.id) == early

    async def test_what_its_owner_changed_outlives_the_event(self, users: Users, auth: Auth, deliver: Deliver) -> None:
        """That comes late, or again."""
        early, late = await _person(auth), await _person(auth)
        await deliver(_registered(early))
        for account in (early, late):
            patch = ProfilePatch(name="Countess", locale="en-GB", preferences={"theme": "dark"})
            changed = await users.update_profile(account.id, patch, None)
            await deliver(_registered(account))
            assert await users.get_profile(account.id) == changed
            assert (changed.name, changed.locale, changed.preferences) == ("Countess", "en-GB", {"theme": "dark"})

    async def test_roles_are_what_auth_says_now(self, users: Users, auth: Auth, deliver: Deliver) -> None:
        ada = await _person(auth)
        await deliver(_registered(ada))
        await users.update_profile(ada.id, ProfilePatch(name="Countess"), None)
        await auth.ensure_account(Registration(ada.email, "another fine password", "Other"), ("moderator",))
        profile = await users.get_profile(ada.id)
        assert (profile.roles, profile.name) == (("moderator",), "Countess")

    async def test_nobody_has_no_profile(self, users: Users) -> None:
        with pytest.raises(NotFound):
            await users.get_profile(new_id())
        with pytest.raises(NotFound):
            await users.update_profile(new_id(), ProfilePatch(name="X"), None)

    # ── changing it ──────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_patch_changes_what_it_names(self, users: Users, auth: Auth) -> None:
        ada, eve = await _person(auth), await _person(auth, "Eve")
        await users.update_profile(ada.id, ProfilePatch(locale="de", preferences={"a": 1}), None)
        changed = await users.update_profile(ada.id, ProfilePatch(name="Countess"), None)
        assert (changed.name, changed.locale, changed.preferences) == ("Countess", "de", {"a": 1})
        changed = await users.update_profile(ada.id, ProfilePatch(locale=None), None)
        assert (changed.name, changed.locale, changed.preferences) == ("Countess", None, {"a": 1})
        assert await users.update_profile(ada.id, ProfilePatch(), None) == changed
        assert await users.get_profile(ada.id) == changed
        assert (await users.get_profile(eve.id)).name == "Eve"

    async def test_preferences_are_merged(self, users: Users, auth: Auth) -> None:
        ada = await _person(auth)
        for given, merged in (
            ({"theme": "dark", "mail": {"offers": True, "news": False}},) * 2,
            ({"theme": None, "mail": {"news": None}, "sizes": [1, 2.5]}, {"mail": {"offers": True}, "sizes": [1, 2.5]}),
            ({}, {"mail": {"offers": True}, "sizes": [1, 2.5]}),
            ({"mail": "none", "sizes": [3]}, {"mail": "none", "sizes": [3]}),
            (None, {}),
        ):
            answer = await users.update_profile(ada.id, ProfilePatch(preferences=given), None)
            assert answer.preferences == merged
            assert await users.get_profile(ada.id) == answer

    async def test_changes_at_once_are_all_kept(self, users: Users, auth: Auth) -> None:
        ada = await _person(auth)
        patches = [ProfilePatch(preferences={f"p{n}": n}) for n in range(6)]
        await together(*(users.update_profile(ada.id, patch, None) for patch in patches))
        assert (await users.get_profile(ada.id)).preferences == {f"p{n}": n for n in range(6)}

    @pytest.mark.behaviour("all-4")
    async def test_a_profile_is_changed_as_it_was_read(self, users: Users, auth: Auth) -> None:
        ada = await _person(auth)
        unread = await users.get_profile(ada.id)
        read = await users.update_profile(ada.id, ProfilePatch(preferences={"zz": 1, "a": 2}), etag(unread))
        assert etag(read) == etag(await users.get_profile(ada.id)), "what is read has the tag of what was answered"
        for old in (etag(unread), '"x"', ""):
            with pytest.raises(PreconditionFailed):
                await users.update_profile(ada.id, ProfilePatch(name="B"), old)
        assert await users.get_profile(ada.id) == read
        await users.update_profile(ada.id, ProfilePatch(name="B"), "*")
        assert (await users.get_profile(ada.id)).name == "B"

    # ── addresses ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_addresses_are_added_and_forgotten(self, users: Users, auth: Auth) -> None:
        ada = await _person(auth)
        assert await _addresses(users, ada) == []
        saved = [await users.add_address(ada.id, each) for each in (HOME, WORK, HOME)]
        assert len({each.id for each in saved}) == 3
        for given, kept in zip((HOME, WORK, HOME), saved, strict=True):
            assert asdict(kept) == {"id": kept.id, **asdict(given)}
            assert await users.get_address(ada.id, kept.id) == kept
        assert sorted(await _addresses(users, ada), key=_id) == sorted(saved, key=_id)
        await users.delete_address(ada.id, saved[0].id, None)
        assert sorted(await _addresses(users, ada), key=_id) == sorted(saved[1:], key=_id)
        for gone in (
            lambda: users.get_address(ada.id, saved[0].id),
            lambda: users.update_address(ada.id, saved[0].id, AddressPatch(city="X"), None),
            lambda: users.delete_address(ada.id, saved[0].id, None),
        ):
            with pytest.raises(NotFound):
                await gone()

    async def test_a_patch_of_an_address_changes_what_it_names(self, users: Users, auth: Auth) -> None:
        ada = await _person(auth)
        home, other = await users.add_address(ada.id, HOME), await users.add_address(ada.id, HOME)
        changed = await users.update_address(ada.id, home.id, AddressPatch(city="Köln", line2=None, region=None), None)
        assert asdict(changed) == {**asdict(home), "city": "Köln", "line2": "", "region": ""}
        assert await users.update_address(ada.id, home.id, AddressPatch(), None) == changed
        assert await users.get_address(ada.id, home.id) == changed
        assert await users.get_address(ada.id, other.id) == other

    @pytest.mark.behaviour("all-4")
    async def test_an_address_is_changed_as_it_was_read(self, users: Users, auth: Auth) -> None:
        ada = await _person(auth)
        home = await users.add_address(ada.id, HOME)
        changed = await users.update_address(ada.id, home.id, AddressPatch(city="Köln"), etag(home))
        with pytest.raises(PreconditionFailed):
            await users.update_address(ada.id, home.id, AddressPatch(city="Bonn"), etag(home))
        with pytest.raises(PreconditionFailed):
            await users.delete_address(ada.id, home.id, etag(home))
        assert await users.get_address(ada.id, home.id) == changed
        await users.delete_address(ada.id, home.id, etag(changed))
        assert await _addresses(users, ada) == []

    @pytest.mark.behaviour("all-2")
    async def test_an_address_of_another_is_not_found(self, users: Users, auth: Auth) -> None:
        ada, eve = await _person(auth), await _person(auth, "Eve")
        home, eves = await users.add_address(ada.id, HOME), await users.add_address(eve.id, WORK)
        for attempt in (
            lambda: users.get_address(eve.id, home.id),
            lambda: users.update_address(eve.id, home.id, AddressPatch(city="X"), None),
            lambda: users.update_address(eve.id, home.id, AddressPatch(city="X"), etag(home)),
            lambda: users.delete_address(eve.id, home.id, None),
        ):
            with pytest.raises(NotFound):
                await attempt()
        assert await _addresses(users, eve) == [eves]
        assert await _addresses(users, ada) == [home]

    @pytest.mark.behaviour("all-1")
    async def test_one_key_is_one_change(self, users: Users, auth: Auth) -> None:
        ada = await _person(auth)
        with calls.scope(calls.Call(key="add")):
            home = await users.add_address(ada.id, HOME)
            assert await users.add_address(ada.id, HOME) == home
            await refused("idempotency_key_reused", users.add_address(ada.id, WORK))
        assert await _addresses(users, ada) == [home]
        with calls.scope(calls.Call(key="profile")):
            first = await users.update_profile(ada.id, ProfilePatch(name="B"), None)
        with calls.scope(calls.Call(key="address")):
            moved = await users.update_address(ada.id, home.id, AddressPatch(city="Köln"), None)
        # The answer to a repeat that comes late is the first one, and it undoes nothing.
        await users.update_profile(ada.id, ProfilePatch(name="C"), None)
        await users.update_address(ada.id, home.id, AddressPatch(city="Bonn"), None)
        with calls.scope(calls.Call(key="profile")):
            assert await users.update_profile(ada.id, ProfilePatch(name="B"), None) == first
        with calls.scope(calls.Call(key="address")):
            assert await users.update_address(ada.id, home.id, AddressPatch(city="Köln"), None) == moved
        assert (await users.get_profile(ada.id)).name == "C"
        assert (await users.get_address(ada.id, home.id)).city == "Bonn"
        for _ in range(2):
            with calls.scope(calls.Call(key="delete")):
                await users.delete_address(ada.id, home.id, None)

    @pytest.mark.behaviour("all-3")
    async def test_pages_stay_while_addresses_are_added(self, users: Users, auth: Auth) -> None:
        ada, eve = await _person(auth), await _person(auth, "Eve")
        for _ in range(5):
            await users.add_address(ada.id, HOME)
            await users.add_address(eve.id, HOME)
        before = await _addresses(users, ada)
        by_pages = await paged(
            lambda cursor: users.list_addresses(ada.id, PageQuery(limit=2, cursor=cursor)),
            between=lambda: users.add_address(ada.id, WORK),
        )
        assert [each for each in by_pages if each.city != WORK.city] == before
        assert len({each.id for each in by_pages}) == len(by_pages)
        with pytest.raises(BadCursor):
            await users.list_addresses(ada.id, PageQuery(cursor="x"))


def _id(address: Any) -> str:
    return str(address.id)
