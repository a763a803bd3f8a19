"""Providers of auth with one mistake each about API keys, made of the right one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import asdict, replace

from marketplace_core import calls
from marketplace_core.capabilities.auth import ApiKeyState, KeyOwner, KeyRequest, Registration, key_digest
from marketplace_core.errors import Invalid, NotFound
from marketplace_core.testing.contracts import Method
from marketplace_core.values import Page, PageQuery
from plugins.auth.tests.wrong_auth import Mistake

__all__ = ["MISTAKES"]


def shows_the_key_in_lists(right: Any) -> Mapping[str, Method]:
    made: dict[str, Any] = {}

    async def create_api_key(*args: Any) -> Any:
        issued = await right.create_api_key(*args)
        made[issued.id] = issued
        return issued

    async def list_api_keys(owner: Any, page: Any) -> Any:
        found = await right.list_api_keys(owner, page)
        return Page([made[key.id] for key in found.items], found.next)

    return {"create_api_key": create_api_key, "list_api_keys": list_api_keys}


def finds_a_key_by_itself(right: Any) -> Mapping[str, Method]:
    """It is stored as it is, for whoever reads the table."""

    async def api_key_state(digest: str) -> Any:
        return await right.api_key_state(digest) or await right.api_key_state(key_digest(digest))

    return {"api_key_state": api_key_state}


def forgets_the_shop(right: Any) -> Mapping[str, Method]:
    async def api_key_state(digest: str) -> Any:
        state = await right.api_key_state(digest)
        return state and replace(state, seller_id=None)

    return {"api_key_state": api_key_state}


def takes_any_scope(right: Any) -> Mapping[str, Method]:
    async def create_api_key(account_id: str, audience: Any, owner: Any, wanted: Any) -> Any:
        try:
            return await right.create_api_key(account_id, audience, owner, wanted)
        except Invalid:
            return await right.create_api_key(account_id, audience, owner, KeyRequest(wanted.name))

    return {"create_api_key": create_api_key}


def allows_nothing_without_a_choice(right: Any) -> Mapping[str, Method]:
    async def create_api_key(*args: Any) -> Any:
        made = await right.create_api_key(*args)
        return made if args[-1].scopes else replace(made, scopes=())

    return {"create_api_key": create_api_key}


def trusts_whoever_asks(right: Any) -> Mapping[str, Method]:
    async def create_api_key(account_id: str, audience: Any, owner: Any, wanted: Any) -> Any:
        for account in await right.get_accounts([account_id]):
            role = "admin" if audience == "admin" else f"courier:{owner.carrier}"
            await right.ensure_account(Registration(account.email, "not looked at", account.name), (role,))
        return await right.create_api_key(account_id, audience, owner, wanted)

    return {"create_api_key": create_api_key}


def lets_a_carriers_key_do_what_its_maker_may(right: Any) -> Mapping[str, Method]:
    async def api_key_state(digest: str) -> Any:
        state = await right.api_key_state(digest)
        if state is None:
            return None
        [account] = await right.get_accounts([state.account_id])
        return replace(state, roles=(*account.roles, "moderator"))

    return {"api_key_state": api_key_state}


def lists_keys_of_all(right: Any) -> Mapping[str, Method]:
    async def list_api_keys(_: Any, page: Any) -> Any:
        return await right.list_api_keys(KeyOwner(), page)

    return {"list_api_keys": list_api_keys}


def revokes_keys_of_anybody(right: Any) -> Mapping[str, Method]:
    async def revoke_api_key(_: Any, key_id: str) -> None:
        await right.revoke_api_key(KeyOwner(), key_id)

    return {"revoke_api_key": revoke_api_key}


def knows_no_key_that_is_revoked(right: Any) -> Mapping[str, Method]:
    """A repeat, whose first answer was lost, is told that there is nothing."""

    async def revoke_api_key(owner: Any, key_id: str) -> None:
        listed = await right.list_api_keys(owner, PageQuery(limit=100))
        if key_id not in {key.id for key in listed.items}:
            raise NotFound
        await right.revoke_api_key(owner, key_id)

    return {"revoke_api_key": revoke_api_key}


def believes_a_key(right: Any) -> Mapping[str, Method]:
    """What was good is good."""
    states: dict[str, ApiKeyState] = {}

    async def api_key_state(digest: str) -> Any:
        state = await right.api_key_state(digest)
        if state is not None:
            states[digest] = state
        return states.get(digest)

    return {"api_key_state": api_key_state}


def makes_another(right: Any) -> Mapping[str, Method]:
    async def create_api_key(*args: Any) -> Any:
        with calls.keyless():
            return await right.create_api_key(*args)

    return {"create_api_key": create_api_key}


def shows_it_the_first_time_only(right: Any) -> Mapping[str, Method]:
    """Whoever did not get the answer has a key that nobody knows."""
    shown: set[str] = set()

    async def create_api_key(*args: Any) -> Any:
        made = await right.create_api_key(*args)
        again = made.id in shown
        shown.add(made.id)
        return type(made)(**asdict(made) | {"key": ""}) if again else made

    return {"create_api_key": create_api_key}


MISTAKES: Sequence[tuple[Mistake, str]] = [
    (shows_the_key_in_lists, "test_a_key_is_shown_once_and_good_at_once"),
    (finds_a_key_by_itself, "test_a_key_is_shown_once_and_good_at_once"),
    (forgets_the_shop, "test_a_key_is_shown_once_and_good_at_once"),
    (takes_any_scope, "test_a_key_may_what_it_is_for"),
    (allows_nothing_without_a_choice, "test_a_key_may_what_it_is_for"),
    (trusts_whoever_asks, "test_nobody_gives_away_what_they_may_not"),
    (lets_a_carriers_key_do_what_its_maker_may, "test_nobody_gives_away_what_they_may_not"),
    (lists_keys_of_all, "test_a_key_is_its_owners"),
    (revokes_keys_of_anybody, "test_a_key_is_its_owners"),
    (knows_no_key_that_is_revoked, "test_a_key_is_its_owners"),
    (believes_a_key, "test_a_key_is_its_owners"),
    (makes_another, "test_a_request_that_comes_again_gives_the_same_key"),
    (shows_it_the_first_time_only, "test_a_request_that_comes_again_gives_the_same_key"),
    (believes_a_key, "test_a_key_dies_with_its_account"),
]
