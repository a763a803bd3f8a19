"""Providers of auth with one mistake each about sessions, made of the right one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from marketplace_core.capabilities.auth import AccountQuery, SessionState
from marketplace_core.errors import Forbidden, NotFound, Unauthorized
from marketplace_core.testing.contracts import Method, Wrong
from marketplace_core.testing.contracts.auth_sessions import PASSWORD
from marketplace_core.values import Page, PageQuery
from plugins.auth.tests.wrong_auth import Mistake

__all__ = ["MISTAKES"]


# ── refreshing ───────────────────────────────────────────────────────────────────────────────────────────────


def does_not_rotate(right: Any) -> Mapping[str, Method]:
    """One token, for ever: the newest is kept here."""
    newest: dict[str, str] = {}

    async def refresh(token: str, client: Any) -> Any:
        session = await right.refresh(newest.get(token, token), client)
        newest[token] = session.refresh_token
        return replace(session, refresh_token=token)

    return {"refresh": refresh}


def only_refuses_a_used_token(right: Any) -> Mapping[str, Method]:
    """The family goes on."""
    used: set[str] = set()

    async def refresh(token: str, client: Any) -> Any:
        if token in used:
            raise Unauthorized("auth.refresh_reused")
        used.add(token)
        return await right.refresh(token, client)

    return {"refresh": refresh}


def forgets_tokens_long_gone(right: Any) -> Mapping[str, Method]:
    """Only the one just used is known as used."""
    follows: dict[str, str] = {}

    async def refresh(token: str, client: Any) -> Any:
        if token in follows and follows[token] in follows:
            raise Unauthorized("auth.token_invalid")
        session = await right.refresh(token, client)
        follows[token] = session.refresh_token
        return session

    return {"refresh": refresh}


def ends_all_sessions_of_a_person(right: Any) -> Mapping[str, Method]:
    states: dict[str, str] = {}

    async def session_state(session_id: str) -> Any:
        state = await right.session_state(session_id)
        if state is not None:
            states[session_id] = state.account_id
            return state
        account = states.get(session_id)
        for view in (await right.list_sessions(account, "", PageQuery())).items if account else ():
            await right.log_out(view.id)
        return None

    async def list_sessions(*args: Any) -> Any:
        page = await right.list_sessions(*args)
        states.update({view.id: args[0] for view in page.items})
        return page

    return {"session_state": session_state, "list_sessions": list_sessions}


def two_win(right: Any) -> Mapping[str, Method]:
    answers: dict[str, Any] = {}

    async def refresh(token: str, client: Any) -> Any:
        try:
            answers[token] = await right.refresh(token, client)
        except Unauthorized:
            if token not in answers:
                raise
        return answers[token]

    return {"refresh": refresh}


def ends_on_an_invented_token(right: Any) -> Mapping[str, Method]:
    async def refresh(token: str, client: Any) -> Any:
        try:
            return await right.refresh(token, client)
        except Unauthorized:
            if "." in token:
                await right.log_out(token.split(".", maxsplit=1)[0])
            raise

    return {"refresh": refresh}


def refreshes_anywhere(right: Any) -> Mapping[str, Method]:
    async def refresh(token: str, client: Any) -> Any:
        return await right.refresh(token, replace(client, audience="buyer"))

    return {"refresh": refresh}


# ── going out ────────────────────────────────────────────────────────────────────────────────────────────────


def believes_an_access_token(right: Any) -> Mapping[str, Method]:
    """Whoever was in is in, until the token has run out."""
    states: dict[str, SessionState] = {}

    async def session_state(session_id: str) -> Any:
        state = await right.session_state(session_id)
        if state is not None:
            states[session_id] = state
        return states.get(session_id)

    async def list_sessions(*args: Any) -> Any:
        page = await right.list_sessions(*args)
        states.update({view.id: SessionState(args[0], view.id) for view in page.items})
        return page

    return {"session_state": session_state, "list_sessions": list_sessions}


def lists_sessions_of_all(right: Any) -> Mapping[str, Method]:
    seen: list[str] = []

    async def register(*args: Any) -> Any:
        signed = await right.register(*args)
        seen.append(signed.user.id)
        return signed

    async def list_sessions(account_id: str, current: str, page: Any) -> Any:
        pages = [await right.list_sessions(id_, current, page) for id_ in seen]
        return Page([view for each in pages for view in each.items], pages[0].next)

    return {"register": register, "list_sessions": list_sessions}


def ends_sessions_of_anybody(right: Any) -> Mapping[str, Method]:
    async def end_session(_: str, session_id: str) -> None:
        await right.log_out(session_id)

    return {"end_session": end_session}


def knows_no_session_that_has_ended(right: Any) -> Mapping[str, Method]:
    """A repeat, whose first answer was lost, is told that there is nothing."""

    async def end_session(account_id: str, session_id: str) -> None:
        if await right.session_state(session_id) is None:
            raise NotFound
        await right.end_session(account_id, session_id)

    return {"end_session": end_session}


def ends_no_sessions(right: Any) -> Mapping[str, Method]:
    """Neither at a new password nor where an account is disabled, which is let in no more but until it is enabled."""

    async def end_sessions(*_: Any) -> list[str]:
        return []

    right._store = Wrong(right._store, {"end_sessions": end_sessions})
    return {}


def asks_for_no_password(right: Any) -> Mapping[str, Method]:
    """Whoever finds a browser open can lock its owner out."""

    async def change_password(account_id: str, password: str, new_password: str) -> None:
        await right.change_password(account_id, PASSWORD, new_password)

    return {"change_password": change_password}


def lets_the_disabled_in(right: Any) -> Mapping[str, Method]:
    async def log_in(credentials: Any, client: Any) -> Any:
        try:
            return await right.log_in(credentials, client)
        except Forbidden:
            [account] = (await right.list_accounts(AccountQuery(email=credentials.email))).items
            await right.set_disabled(account.id, False)
            return await right.log_in(credentials, client)

    return {"log_in": log_in}


MISTAKES: Sequence[tuple[Mistake, str]] = [
    (does_not_rotate, "test_a_refresh_gives_new_tokens_of_the_same_session"),
    (only_refuses_a_used_token, "test_a_used_refresh_token_ends_its_family"),
    (forgets_tokens_long_gone, "test_a_used_refresh_token_ends_its_family"),
    (ends_all_sessions_of_a_person, "test_a_used_refresh_token_ends_its_family"),
    (two_win, "test_of_twenty_equal_refreshes_at_once_none_or_one_wins"),
    (only_refuses_a_used_token, "test_of_twenty_equal_refreshes_at_once_none_or_one_wins"),
    (ends_on_an_invented_token, "test_an_invented_refresh_token_ends_nothing"),
    (refreshes_anywhere, "test_a_refresh_token_is_good_on_its_audience_only"),
    (believes_an_access_token, "test_a_session_ends_before_the_logout_answers"),
    (lists_sessions_of_all, "test_sessions_are_their_owners"),
    (ends_sessions_of_anybody, "test_sessions_are_their_owners"),
    (knows_no_session_that_has_ended, "test_sessions_are_their_owners"),
    (ends_no_sessions, "test_a_new_password_ends_all_sessions"),
    (asks_for_no_password, "test_a_new_password_ends_all_sessions"),
    (believes_an_access_token, "test_a_disabled_account_is_out"),
    (ends_no_sessions, "test_a_disabled_account_is_out"),
    (lets_the_disabled_in, "test_a_disabled_account_is_out"),
]
