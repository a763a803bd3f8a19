"""Providers of auth with one mistake each, made of the right one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from marketplace_core.capabilities.auth import Credentials
from marketplace_core.errors import BadCursor, Conflict, Forbidden, MarketplaceError, Refused, Unauthorized
from marketplace_core.testing.contracts import Method
from marketplace_core.testing.contracts.auth_sessions import PASSWORD
from marketplace_core.values import Imported, Page, PageQuery, new_id

__all__ = ["MISTAKES", "Mistake"]

Mistake = Callable[[Any], Mapping[str, Method]]
"""From the right service to the methods that are wrong."""


async def _first(right: Any, account_id: str) -> str:
    """One of the account's live sessions, the oldest."""
    page = await right.list_sessions(account_id, "", PageQuery(limit=100))
    return str(page.items[-1].id)


# ── coming in ────────────────────────────────────────────────────────────────────────────────────────────────


def _of_registered_emails(right: Any) -> Mapping[str, Method]:
    """Whoever did not register by exactly that e-mail is refused before anybody looks."""
    known: set[str] = set()

    async def register(registration: Any, client: Any) -> Any:
        known.add(registration.email)
        return await right.register(registration, client)

    async def log_in(credentials: Any, client: Any) -> Any:
        if credentials.email not in known:
            raise Unauthorized("auth.bad_credentials")
        return await right.log_in(credentials, client)

    return {"register": register, "log_in": log_in}


def tells_emails_apart_by_case(right: Any) -> Mapping[str, Method]:
    return _of_registered_emails(right)


def keeps_one_session_each(right: Any) -> Mapping[str, Method]:
    async def log_in(credentials: Any, client: Any) -> Any:
        signed = await right.log_in(credentials, client)
        await right.end_session(signed.user.id, await _first(right, signed.user.id))
        return signed

    return {"log_in": log_in}


def logs_in_who_registers_again(right: Any) -> Mapping[str, Method]:
    async def register(registration: Any, client: Any) -> Any:
        try:
            return await right.register(registration, client)
        except Conflict:
            return await right.log_in(Credentials(registration.email, registration.password), client)

    return {"register": register}


def registers_each_spelling(right: Any) -> Mapping[str, Method]:
    count = 0

    async def register(registration: Any, client: Any) -> Any:
        nonlocal count
        count += 1
        return await right.register(replace(registration, email=f"{count}{registration.email}"), client)

    return {"register": register}


def takes_any_password(right: Any) -> Mapping[str, Method]:
    async def register(registration: Any, client: Any) -> Any:
        return await right.register(replace(registration, password=f"{registration.password} and more"), client)

    return {"register": register}


def says_weak_without_a_place(right: Any) -> Mapping[str, Method]:
    async def register(registration: Any, client: Any) -> Any:
        try:
            return await right.register(registration, client)
        except Refused as error:
            raise Refused(error.code, error.detail) from None

    return {"register": register}


def says_that_nobody_has_this_email(right: Any) -> Mapping[str, Method]:
    emails: set[str] = set()

    async def register(registration: Any, client: Any) -> Any:
        emails.add(registration.email)
        return await right.register(registration, client)

    async def log_in(credentials: Any, client: Any) -> Any:
        if credentials.email not in emails:
            raise Unauthorized("auth.bad_credentials", "Nobody has this e-mail.")
        return await right.log_in(credentials, client)

    return {"register": register, "log_in": log_in}


def lets_one_guess(right: Any) -> Mapping[str, Method]:
    async def log_in(credentials: Any, client: Any) -> Any:
        try:
            return await right.log_in(credentials, client)
        except MarketplaceError as error:
            raise Unauthorized("auth.bad_credentials", error.detail) from None

    return {"log_in": log_in}


def lets_one_guess_what_nobody_has(right: Any) -> Mapping[str, Method]:
    """Only where there is an account the failures are counted."""
    return _of_registered_emails(right)


def has_no_closed_audience(right: Any) -> Mapping[str, Method]:
    async def log_in(credentials: Any, client: Any) -> Any:
        return await right.log_in(credentials, replace(client, audience="buyer"))

    return {"log_in": log_in}


def tells_anybody_what_an_account_may_do(right: Any) -> Mapping[str, Method]:
    async def log_in(credentials: Any, client: Any) -> Any:
        try:
            return await right.log_in(credentials, client)
        except Unauthorized:
            if client.audience in {"logistics", "admin"}:
                raise Forbidden("auth.forbidden") from None
            raise

    return {"log_in": log_in}


def forgets_roles(right: Any) -> Mapping[str, Method]:
    async def session_state(session_id: str) -> Any:
        state = await right.session_state(session_id)
        return state and replace(state, roles=())

    return {"session_state": session_state}


# ── for operators ────────────────────────────────────────────────────────────────────────────────────────────


def takes_roles_away(right: Any) -> Mapping[str, Method]:
    async def ensure_account(registration: Any, roles: tuple[str, ...]) -> Any:
        return replace(await right.ensure_account(registration, roles), roles=roles[:1])

    return {"ensure_account": ensure_account}


def takes_the_new_password(right: Any) -> Mapping[str, Method]:
    """Whoever may make accounts takes over what is there already."""

    async def ensure_account(registration: Any, roles: tuple[str, ...]) -> Any:
        account = await right.ensure_account(registration, roles)
        with contextlib.suppress(Unauthorized):
            await right.change_password(account.id, PASSWORD, registration.password)
        return account

    return {"ensure_account": ensure_account}


def finds_accounts_by_any_email(right: Any) -> Mapping[str, Method]:
    async def list_accounts(query: Any) -> Any:
        return await right.list_accounts(replace(query, email=None))

    return {"list_accounts": list_accounts}


def pages_by_number(right: Any) -> Mapping[str, Method]:
    async def list_accounts(query: Any) -> Any:
        if query.email is not None and query.cursor is not None:
            raise BadCursor
        begin = int(query.cursor or 0)
        found = await right.list_accounts(replace(query, limit=100, cursor=None))
        more = begin + query.limit < len(found.items)
        return Page(found.items[begin : begin + query.limit], str(begin + query.limit) if more else None)

    return {"list_accounts": list_accounts}


def gives_ids_of_its_own(right: Any) -> Mapping[str, Method]:
    async def import_accounts(accounts: list[Any]) -> Any:
        return await right.import_accounts([replace(each, id=new_id()) for each in accounts])

    return {"import_accounts": import_accounts}


def takes_equal_emails_for_one_person(right: Any) -> Mapping[str, Method]:
    async def import_accounts(accounts: list[Any]) -> Any:
        found = await right.import_accounts(accounts)
        return [Imported("unchanged") if each.status == "rejected" else each for each in found]

    return {"import_accounts": import_accounts}


MISTAKES = [
    (tells_emails_apart_by_case, "test_a_registered_person_is_in"),
    (keeps_one_session_each, "test_a_registered_person_is_in"),
    (logs_in_who_registers_again, "test_an_email_is_registered_once"),
    (registers_each_spelling, "test_an_email_is_registered_once"),
    (takes_any_password, "test_a_weak_password_is_refused"),
    (says_weak_without_a_place, "test_a_weak_password_is_refused"),
    (says_that_nobody_has_this_email, "test_an_unknown_email_is_answered_like_a_wrong_password"),
    (lets_one_guess, "test_failures_in_a_row_make_one_wait"),
    (lets_one_guess_what_nobody_has, "test_failures_in_a_row_make_one_wait"),
    (has_no_closed_audience, "test_closed_audiences_need_a_role"),
    (tells_anybody_what_an_account_may_do, "test_closed_audiences_need_a_role"),
    (forgets_roles, "test_closed_audiences_need_a_role"),
    (takes_roles_away, "test_an_operators_account_is_made_once_and_gains_roles"),
    (takes_the_new_password, "test_an_operators_account_is_made_once_and_gains_roles"),
    (finds_accounts_by_any_email, "test_operators_find_accounts"),
    (pages_by_number, "test_operators_find_accounts"),
    (gives_ids_of_its_own, "test_people_of_another_system_keep_their_ids"),
    (takes_equal_emails_for_one_person, "test_people_of_another_system_keep_their_ids"),
]
