"""Providers of sellers with one mistake each, made of the right one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.sellers import ApplicationQuery
from marketplace_core.errors import Conflict, NotFound
from marketplace_core.testing.contracts import Method, Wrong
from marketplace_core.values import Page, new_id

__all__ = ["MISTAKES", "Mistake"]

Mistake = Callable[[Any], Mapping[str, Method]]
"""From the right service to the methods that are wrong."""


async def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _fulfil(right: Any, application_id: str) -> None:
    """Waive all that is not settled."""
    listed = await right.list_applications(ApplicationQuery(limit=100))
    for one in listed.items:
        for each in one.requirements if one.id == application_id else ():
            if each.status not in {"accepted", "waived"}:
                await right.decide_requirement(application_id, each.key, "waive", "")


# ── applying ─────────────────────────────────────────────────────────────────────────────────────────────────


def accepts_what_is_not_fulfilled(right: Any) -> Mapping[str, Method]:
    async def accept(application_id: str) -> Any:
        with contextlib.suppress(Conflict):
            await _fulfil(right, application_id)
        return await right.accept(application_id)

    return {"accept": accept}


def leaves_it_to_the_event(right: Any) -> Mapping[str, Method]:
    """The catalogue hears of it sooner or later."""
    right._tell = _nothing
    return {}


def hands_over_to_whoever_comes(right: Any) -> Mapping[str, Method]:
    store = right._store

    async def lock_nobodys(uow: Any, key: str) -> Any:
        return (await store.find_shops(uow, [], [key])).get(key)

    right._store = Wrong(store, {"lock_nobodys": lock_nobodys})
    return {}


def keeps_what_an_import_made(right: Any) -> Mapping[str, Method]:
    right._store = Wrong(right._store, {"lock_nobodys": _nothing})
    return {}


def is_a_member_before_it_is_accepted(right: Any) -> Mapping[str, Method]:
    async def get_membership(account_id: str) -> Any:
        found = await right.get_membership(account_id)
        if found is None:
            with contextlib.suppress(NotFound):
                await _fulfil(right, application_id := (await right.get_application(account_id)).id)
                await right.accept(application_id)
        return found or await right.get_membership(account_id)

    return {"get_membership": get_membership}


def takes_any_number_of_applications(right: Any) -> Mapping[str, Method]:
    async def apply(account_id: str, draft: Any) -> Any:
        try:
            return await right.apply(account_id, draft)
        except Conflict:
            return await right.apply(new_id(), draft)

    return {"apply": apply}


def gives_no_second_chance(right: Any) -> Mapping[str, Method]:
    async def apply(account_id: str, draft: Any) -> Any:
        try:
            known = await right.get_application(account_id)
        except NotFound:
            return await right.apply(account_id, draft)
        raise Conflict("sellers.wrong_state", f"It is {known.status}.")

    return {"apply": apply}


def decides_again(right: Any) -> Mapping[str, Method]:
    async def reject(application_id: str, reason: str) -> Any:
        try:
            return await right.reject(application_id, reason)
        except Conflict:
            return None

    return {"reject": reject}


def asks_after_the_end(right: Any) -> Mapping[str, Method]:
    async def submit_requirement(account_id: str, key: str, value: Any) -> Any:
        try:
            return await right.submit_requirement(account_id, key, value)
        except Conflict:
            return await right.get_application(account_id)

    return {"submit_requirement": submit_requirement}


def keeps_it_submitted(right: Any) -> Mapping[str, Method]:
    """A rejected requirement does not hand the application back."""

    async def decide_requirement(*args: Any) -> Any:
        return replace(await right.decide_requirement(*args), status="submitted")

    return {"decide_requirement": decide_requirement}


def decides_on_nothing(right: Any) -> Mapping[str, Method]:
    """What nobody has submitted is accepted."""

    async def decide_requirement(application_id: str, key: str, decision: str, reason: str) -> Any:
        try:
            return await right.decide_requirement(application_id, key, decision, reason)
        except Conflict:
            return await right.decide_requirement(application_id, key, "waive", reason)

    return {"decide_requirement": decide_requirement}


def lets_a_reason_stand(right: Any) -> Mapping[str, Method]:
    """What an operator said of what was submitted before is said of what is submitted now."""

    async def submit_requirement(account_id: str, key: str, value: Any) -> Any:
        before = await right.get_application(account_id)
        details = {each.key: each.detail for each in before.requirements}
        found = await right.submit_requirement(account_id, key, value)
        return replace(found, requirements=[replace(each, detail=details[each.key]) for each in found.requirements])

    return {"submit_requirement": submit_requirement}


def accepts_once_only(right: Any) -> Mapping[str, Method]:
    """A second operator who accepts at the same time is told of a conflict."""
    begun: set[str] = set()

    async def accept(application_id: str) -> Any:
        if application_id in begun:
            raise Conflict("sellers.wrong_state")
        begun.add(application_id)
        return await right.accept(application_id)

    return {"accept": accept}


def opens_a_shop_per_accept(right: Any) -> Mapping[str, Method]:
    async def accept(application_id: str) -> Any:
        await right.ensure_sellers([f"Another {new_id()}"], None)
        return await right.accept(application_id)

    return {"accept": accept}


def lists_any_status(right: Any) -> Mapping[str, Method]:
    async def list_applications(query: Any) -> Any:
        return await right.list_applications(replace(query, status=None))

    async def list_sellers(query: Any) -> Any:
        return await right.list_sellers(replace(query, status=None))

    return {"list_applications": list_applications, "list_sellers": list_sellers}


def hides_what_was_submitted(right: Any) -> Mapping[str, Method]:
    async def list_applications(query: Any) -> Any:
        page = await right.list_applications(query)
        return Page([replace(each, submitted={}) for each in page.items], page.next)

    return {"list_applications": list_applications}


def pages_by_number(right: Any) -> Mapping[str, Method]:
    def listing(right_list: Method) -> Method:
        async def list_(query: Any) -> Any:
            begin = int(query.cursor or 0)
            found = await right_list(replace(query, limit=100, cursor=None))
            more = begin + query.limit < len(found.items)
            return Page(found.items[begin : begin + query.limit], str(begin + query.limit) if more else None)

        return list_

    return {"list_applications": listing(right.list_applications), "list_sellers": listing(right.list_sellers)}


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def knows_no_keys(right: Any) -> Mapping[str, Method]:
    async def reject(*args: Any) -> Any:
        with calls.keyless():
            return await right.reject(*args)

    return {"reject": reject}


def knows_keys_but_no_arguments(right: Any) -> Mapping[str, Method]:
    first: dict[str | None, Any] = {}

    async def decide_requirement(*args: Any) -> Any:
        key = calls.current().key
        if key not in first:
            first[key] = await right.decide_requirement(*args)
        return first[key]

    return {"decide_requirement": decide_requirement}


def makes_them_twice(right: Any) -> Mapping[str, Method]:
    """The repeat says that nothing was made."""

    async def ensure_sellers(*args: Any) -> Any:
        with calls.keyless():
            return await right.ensure_sellers(*args)

    return {"ensure_sellers": ensure_sellers}


MISTAKES: Sequence[tuple[Mistake, str]] = [
    (accepts_what_is_not_fulfilled, "test_from_an_application_to_a_shop_that_sells"),
    (leaves_it_to_the_event, "test_from_an_application_to_a_shop_that_sells"),
    (is_a_member_before_it_is_accepted, "test_from_an_application_to_a_shop_that_sells"),
    (takes_any_number_of_applications, "test_one_open_application_or_one_shop_per_person"),
    (gives_no_second_chance, "test_one_open_application_or_one_shop_per_person"),
    (decides_again, "test_what_is_decided_stays_so"),
    (asks_after_the_end, "test_what_is_decided_stays_so"),
    (keeps_it_submitted, "test_an_operator_decides_each_requirement"),
    (decides_on_nothing, "test_an_operator_decides_each_requirement"),
    (lets_a_reason_stand, "test_an_operator_decides_each_requirement"),
    (takes_any_number_of_applications, "test_of_equal_acts_at_once_one_counts"),
    (accepts_once_only, "test_of_equal_acts_at_once_one_counts"),
    (opens_a_shop_per_accept, "test_of_equal_acts_at_once_one_counts"),
    (lists_any_status, "test_operators_see_what_they_decide_by"),
    (hides_what_was_submitted, "test_operators_see_what_they_decide_by"),
    (pages_by_number, "test_operators_see_what_they_decide_by"),
    (is_a_member_before_it_is_accepted, "test_a_membership_is_its_persons"),
    (lists_any_status, "test_shops_are_listed_by_pages"),
    (pages_by_number, "test_shops_are_listed_by_pages"),
    (hands_over_to_whoever_comes, "test_a_shop_of_nobody_goes_to_who_applies_under_its_name"),
    (keeps_what_an_import_made, "test_a_shop_of_nobody_goes_to_who_applies_under_its_name"),
    (knows_no_keys, "test_one_key_is_one_act"),
    (knows_keys_but_no_arguments, "test_one_key_is_one_act"),
    (makes_them_twice, "test_one_key_is_one_act"),
    (leaves_it_to_the_event, "test_sellers_of_an_import"),
    (leaves_it_to_the_event, "test_shops_of_another_system_keep_their_ids"),
]
