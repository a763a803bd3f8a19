"""Providers of users with one mistake each, made of the right one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict, replace

from marketplace_core import calls
from marketplace_core.capabilities.users import ProfilePatch
from marketplace_core.errors import BadCursor, NotFound, PreconditionFailed
from marketplace_core.testing.contracts import Method, Wrong
from marketplace_core.values import Page, PageQuery

__all__ = ["MISTAKES", "Mistake"]

Mistake = Callable[[Any], Mapping[str, Method]]
"""From the right service to the methods that are wrong."""


# ── the profile and its event ────────────────────────────────────────────────────────────────────────────────


def waits_for_the_event(right: Any) -> Mapping[str, Method]:
    async def get_profile(account_id: str) -> Any:
        if await right._store.find_profile(account_id) is None:
            raise NotFound
        return await right.get_profile(account_id)

    return {"get_profile": get_profile}


def believes_the_event_most(right: Any) -> Mapping[str, Method]:
    """It is written over what is there."""
    store = right._store

    async def add_profile(uow: Any, profile: Any) -> None:
        await store.add_profile(uow, profile)
        await store.save_profile(uow, profile)

    right._store = Wrong(store, {"add_profile": add_profile})
    return {}


def keeps_roles(right: Any) -> Mapping[str, Method]:
    first: dict[str, Any] = {}

    async def get_profile(account_id: str) -> Any:
        profile = await right.get_profile(account_id)
        return replace(profile, roles=first.setdefault(account_id, profile.roles))

    async def update_profile(account_id: str, *args: Any) -> Any:
        profile = await right.update_profile(account_id, *args)
        first.setdefault(account_id, profile.roles)
        return profile

    return {"get_profile": get_profile, "update_profile": update_profile}


def has_a_profile_for_everybody(right: Any) -> Mapping[str, Method]:
    async def update_profile(*args: Any) -> Any:
        try:
            return await right.update_profile(*args)
        except NotFound:
            return None

    return {"update_profile": update_profile}


# ── changing it ──────────────────────────────────────────────────────────────────────────────────────────────


def clears_what_is_not_named(right: Any) -> Mapping[str, Method]:
    async def update_profile(account_id: str, patch: Any, if_match: Any) -> Any:
        locale = None if patch.locale is UNSET else patch.locale
        return await right.update_profile(account_id, replace(patch, locale=locale), if_match)

    return {"update_profile": update_profile}


def clears_nothing(right: Any) -> Mapping[str, Method]:
    """None is taken for "not named"."""

    async def update_profile(account_id: str, patch: Any, if_match: Any) -> Any:
        return await right.update_profile(account_id, _without_nulls(patch), if_match)

    async def update_address(account_id: str, address_id: str, patch: Any, if_match: Any) -> Any:
        return await right.update_address(account_id, address_id, _without_nulls(patch), if_match)

    return {"update_profile": update_profile, "update_address": update_address}


def _without_nulls(patch: Any) -> Any:
    return type(patch)(**{name: value for name, value in asdict(patch).items() if value is not None})


def replaces_preferences(right: Any) -> Mapping[str, Method]:
    async def update_profile(account_id: str, patch: Any, if_match: Any) -> Any:
        if patch.preferences is not UNSET:
            await right.update_profile(account_id, ProfilePatch(preferences=None), if_match)
        return await right.update_profile(account_id, patch, None)

    return {"update_profile": update_profile}


def merges_the_top_only(right: Any) -> Mapping[str, Method]:
    async def update_profile(account_id: str, patch: Any, if_match: Any) -> Any:
        if isinstance(patch.preferences, dict):
            await right.update_profile(account_id, ProfilePatch(preferences=dict.fromkeys(patch.preferences)), None)
        return await right.update_profile(account_id, patch, if_match)

    return {"update_profile": update_profile}


def locks_nothing(right: Any) -> Mapping[str, Method]:
    """Of two changes at once the later is all that is left."""
    store = right._store
    made: dict[str, Any] = {}

    async def add_profile(_: Any, profile: Any) -> None:
        made[profile.account_id] = profile

    async def lock_profile(_: Any, account_id: str) -> Any:
        await asyncio.sleep(0.05)  # so that all have read before one writes
        return await store.find_profile(account_id) or made[account_id]

    async def save_profile(uow: Any, profile: Any) -> Any:
        await store.add_profile(uow, profile)
        return await store.save_profile(uow, profile)

    right._store = Wrong(store, {"lock_profile": lock_profile, "add_profile": add_profile, "save_profile": save_profile})
    return {}


def reads_no_tags(right: Any) -> Mapping[str, Method]:
    async def update_profile(account_id: str, patch: Any, _: Any) -> Any:
        return await right.update_profile(account_id, patch, None)

    async def update_address(account_id: str, address_id: str, patch: Any, _: Any) -> Any:
        return await right.update_address(account_id, address_id, patch, None)

    return {"update_profile": update_profile, "update_address": update_address}


def answers_otherwise_than_it_reads(right: Any) -> Mapping[str, Method]:
    """Preferences in the order in which they came, so that the tag of the answer is no tag of what is kept."""

    async def update_profile(account_id: str, patch: Any, if_match: Any) -> Any:
        profile = await right.update_profile(account_id, patch, if_match)
        return replace(profile, preferences=dict(reversed(profile.preferences.items())))

    return {"update_profile": update_profile}


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────


def keeps_equal_addresses_once(right: Any) -> Mapping[str, Method]:
    async def add_address(account_id: str, address: Any) -> Any:
        for known in (await right.list_addresses(account_id, PageQuery(limit=100))).items:
            if asdict(known) == {"id": known.id, **asdict(address)}:
                return known
        return await right.add_address(account_id, address)

    return {"add_address": add_address}


def loses_the_region(right: Any) -> Mapping[str, Method]:
    async def add_address(account_id: str, address: Any) -> Any:
        return await right.add_address(account_id, replace(address, region=""))

    return {"add_address": add_address}


def deletes_what_is_not_there(right: Any) -> Mapping[str, Method]:
    async def delete_address(*args: Any) -> None:
        with contextlib.suppress(NotFound):
            await right.delete_address(*args)

    return {"delete_address": delete_address}


def patches_all_of_them(right: Any) -> Mapping[str, Method]:
    async def update_address(account_id: str, address_id: str, patch: Any, if_match: Any) -> Any:
        for each in (await right.list_addresses(account_id, PageQuery(limit=100))).items:
            if each.id != address_id:
                await right.update_address(account_id, each.id, patch, None)
        return await right.update_address(account_id, address_id, patch, if_match)

    return {"update_address": update_address}


def deletes_what_was_changed(right: Any) -> Mapping[str, Method]:
    async def delete_address(account_id: str, address_id: str, _: Any) -> None:
        await right.delete_address(account_id, address_id, None)

    return {"delete_address": delete_address}


def shows_addresses_to_anybody(right: Any) -> Mapping[str, Method]:
    owners: dict[str, str] = {}

    async def add_address(account_id: str, address: Any) -> Any:
        added = await right.add_address(account_id, address)
        owners[added.id] = account_id
        return added

    async def get_address(_: str, address_id: str) -> Any:
        return await right.get_address(owners[address_id], address_id)

    return {"add_address": add_address, "get_address": get_address}


def patches_addresses_of_anybody(right: Any) -> Mapping[str, Method]:
    owners: dict[str, str] = {}

    async def add_address(account_id: str, address: Any) -> Any:
        added = await right.add_address(account_id, address)
        owners[added.id] = account_id
        return added

    async def update_address(_: str, address_id: str, *args: Any) -> Any:
        return await right.update_address(owners[address_id], address_id, *args)

    return {"add_address": add_address, "update_address": update_address}


def tells_the_tag_before_the_owner(right: Any) -> Mapping[str, Method]:
    """Whoever asks for what is another's learns that it is there."""

    async def update_address(account_id: str, address_id: str, patch: Any, if_match: Any) -> Any:
        try:
            return await right.update_address(account_id, address_id, patch, if_match)
        except NotFound:
            if if_match is not None:
                raise PreconditionFailed from None
            raise

    return {"update_address": update_address}


def knows_no_keys(right: Any) -> Mapping[str, Method]:
    async def add_address(*args: Any) -> Any:
        with calls.keyless():
            return await right.add_address(*args)

    return {"add_address": add_address}


def does_it_again(right: Any) -> Mapping[str, Method]:
    """What sets a value is taken to be the same when it is done twice; it is not when something came between."""

    async def update_profile(*args: Any) -> Any:
        with calls.keyless():
            return await right.update_profile(*args)

    return {"update_profile": update_profile}


def forgets_what_it_deleted(right: Any) -> Mapping[str, Method]:
    async def delete_address(*args: Any) -> None:
        with calls.keyless():
            await right.delete_address(*args)

    return {"delete_address": delete_address}


def pages_by_number(right: Any) -> Mapping[str, Method]:
    async def list_addresses(account_id: str, page: Any) -> Any:
        begin = int(page.cursor or 0)
        found = await right.list_addresses(account_id, PageQuery(limit=100))
        more = begin + page.limit < len(found.items)
        return Page(found.items[begin : begin + page.limit], str(begin + page.limit) if more else None)

    return {"list_addresses": list_addresses}


def begins_anew_at_a_bad_cursor(right: Any) -> Mapping[str, Method]:
    async def list_addresses(account_id: str, page: Any) -> Any:
        try:
            return await right.list_addresses(account_id, page)
        except BadCursor:
            return await right.list_addresses(account_id, PageQuery(limit=page.limit))

    return {"list_addresses": list_addresses}


MISTAKES = [
    (waits_for_the_event, "test_a_profile_is_built_from_auth_until_it_arrives"),
    (believes_the_event_most, "test_what_its_owner_changed_outlives_the_event"),
    (keeps_roles, "test_roles_are_what_auth_says_now"),
    (has_a_profile_for_everybody, "test_nobody_has_no_profile"),
    (clears_what_is_not_named, "test_a_patch_changes_what_it_names"),
    (clears_nothing, "test_a_patch_changes_what_it_names"),
    (replaces_preferences, "test_preferences_are_merged"),
    (merges_the_top_only, "test_preferences_are_merged"),
    (locks_nothing, "test_changes_at_once_are_all_kept"),
    (reads_no_tags, "test_a_profile_is_changed_as_it_was_read"),
    (answers_otherwise_than_it_reads, "test_a_profile_is_changed_as_it_was_read"),
    (keeps_equal_addresses_once, "test_addresses_are_added_and_forgotten"),
    (loses_the_region, "test_addresses_are_added_and_forgotten"),
    (deletes_what_is_not_there, "test_addresses_are_added_and_forgotten"),
    (clears_nothing, "test_a_patch_of_an_address_changes_what_it_names"),
    (patches_all_of_them, "test_a_patch_of_an_address_changes_what_it_names"),
    (reads_no_tags, "test_an_address_is_changed_as_it_was_read"),
    (deletes_what_was_changed, "test_an_address_is_changed_as_it_was_read"),
    (shows_addresses_to_anybody, "test_an_address_of_another_is_not_found"),
    (patches_addresses_of_anybody, "test_an_address_of_another_is_not_found"),
    (tells_the_tag_before_the_owner, "test_an_address_of_another_is_not_found"),
    (knows_no_keys, "test_one_key_is_one_change"),
    (does_it_again, "test_one_key_is_one_change"),
    (forgets_what_it_deleted, "test_one_key_is_one_change"),
    (pages_by_number, "test_pages_stay_while_addresses_are_added"),
    (begins_anew_at_a_bad_cursor, "test_pages_stay_while_addresses_are_added"),
]
