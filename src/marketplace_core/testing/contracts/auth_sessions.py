"""The part of auth's suite that is about sessions: how they go on, and that they end; and people for the rest of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from marketplace_core.capabilities.auth import (
    Account,
    Auth,
    Client,
    Credentials,
    Registration,
    Session,
    SessionView,
    SignedIn,
)
from marketplace_core.errors import BadCursor, Forbidden, MarketplaceError, NotFound, Unauthorized
from marketplace_core.testing.contracts import paged, refused
from marketplace_core.values import Audience, PageQuery, new_id

__all__ = [
    "OTHER",
    "PASSWORD",
    "SessionRules",
    "account_of",
    "email_of",
    "is_in",
    "log_in",
    "opened",
    "register",
    "registered",
    "session_ids",
]

PASSWORD = "a fine password"  # noqa: S105
OTHER = "another fine password"
BUYER = Client("buyer", "contract")


def email_of(name: str = "ada") -> str:
    """An e-mail that nobody has."""
    return f"{name}-{new_id()[-12:]}@example.org"


async def register(auth: Auth, email: str | None = None, password: str = PASSWORD, audience: Audience = "buyer") -> SignedIn:
    return await auth.register(Registration(email or email_of(), password, "Ada"), Client(audience, "contract"))


async def log_in(auth: Auth, email: str, password: str = PASSWORD, audience: Audience = "buyer") -> SignedIn:
    return await auth.log_in(Credentials(email, password), Client(audience, "contract"))


async def sessions_of(auth: Auth, account_id: str, current: str = "", limit: int = 20) -> list[SessionView]:
    return await paged(lambda cursor: auth.list_sessions(account_id, current, PageQuery(limit=limit, cursor=cursor)))


async def session_ids(auth: Auth, account_id: str) -> set[str]:
    """Of its live sessions."""
    return {view.id for view in await sessions_of(auth, account_id)}


async def opened(auth: Auth, account_id: str, entering: Awaitable[SignedIn]) -> tuple[SignedIn, str]:
    """Somebody who comes in, and the id of the session: the one that was not there before."""
    before = await session_ids(auth, account_id)
    signed = await entering
    [id_] = await session_ids(auth, account_id) - before
    return signed, id_


async def registered(auth: Auth, email: str | None = None) -> tuple[SignedIn, str]:
    """Somebody new, and the id of the session."""
    signed = await register(auth, email)
    [id_] = await session_ids(auth, signed.user.id)
    return signed, id_


async def is_in(auth: Auth, session_id: str) -> bool:
    """Whether a session lives."""
    return await auth.session_state(session_id) is not None


async def account_of(auth: Auth, account_id: str) -> Account:
    [found] = await auth.get_accounts([account_id])
    return found


class SessionRules:
    # ── refreshing ───────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("auth-2")
    async def test_a_refresh_gives_new_tokens_of_the_same_session(self, auth: Auth) -> None:
        signed, session_id = await registered(auth)
        sessions = [signed.session]
        for _ in range(3):
            sessions.append(await auth.refresh(sessions[-1].refresh_token, BUYER))
        assert len({session.refresh_token for session in sessions}) == 4
        assert await session_ids(auth, signed.user.id) == {session_id}
        assert await is_in(auth, session_id)

    @pytest.mark.behaviour("auth-2")
    async def test_a_used_refresh_token_ends_its_family(self, auth: Auth) -> None:
        """The one just used, and one long gone; the person's other sessions go on."""
        email = email_of()
        first, elsewhere = await registered(auth, email)
        for used in (0, 2):
            signed, session_id = await opened(auth, first.user.id, log_in(auth, email))
            sessions = [signed.session]
            for _ in range(3 if used == 0 else used + 1):
                sessions.append(await auth.refresh(sessions[-1].refresh_token, BUYER))
            error = await refused("auth.refresh_reused", auth.refresh(sessions[used].refresh_token, BUYER))
            assert isinstance(error, Unauthorized)
            assert not await is_in(auth, session_id)
            with pytest.raises(Unauthorized):
                await auth.refresh(sessions[-1].refresh_token, BUYER)
        assert await is_in(auth, elsewhere)
        await auth.refresh(first.session.refresh_token, BUYER)

    @pytest.mark.behaviour("auth-2")
    async def test_of_twenty_equal_refreshes_at_once_none_or_one_wins(self, auth: Auth) -> None:
        """There is a copy of the token, so that whoever won is not in afterwards either."""
        signed, session_id = await registered(auth)
        token = signed.session.refresh_token
        answers = await asyncio.gather(*(auth.refresh(token, BUYER) for _ in range(20)), return_exceptions=True)
        won = [answer for answer in answers if isinstance(answer, Session)]
        assert len(won) <= 1
        assert len([answer for answer in answers if isinstance(answer, Unauthorized)]) == 20 - len(won)
        assert not await is_in(auth, session_id)
        for session in won:
            with pytest.raises(Unauthorized):
                await auth.refresh(session.refresh_token, BUYER)

    async def test_an_invented_refresh_token_ends_nothing(self, auth: Auth) -> None:
        signed, session_id = await registered(auth)
        token = signed.session.refresh_token
        for invented in ("", "x", session_id, token[:-1], token[: len(token) // 2], f"{token}x", "é"):
            error = await refused("auth.token_invalid", auth.refresh(invented, BUYER))
            assert isinstance(error, Unauthorized)
        assert await is_in(auth, session_id)
        await auth.refresh(token, BUYER)

    async def test_a_refresh_token_is_good_on_its_audience_only(self, auth: Auth) -> None:
        signed, session_id = await registered(auth)
        await refused("auth.wrong_audience", auth.refresh(signed.session.refresh_token, Client("seller")))
        assert await is_in(auth, session_id)
        await auth.refresh(signed.session.refresh_token, BUYER)

    # ── going out ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_session_ends_before_the_logout_answers(self, auth: Auth) -> None:
        email = email_of()
        signed, session_id = await registered(auth, email)
        _, other = await opened(auth, signed.user.id, log_in(auth, email))
        assert await is_in(auth, session_id)
        for _ in range(2):
            await auth.log_out(session_id)
            assert not await is_in(auth, session_id)
        with pytest.raises(Unauthorized):
            await auth.refresh(signed.session.refresh_token, BUYER)
        assert await session_ids(auth, signed.user.id) == {other}
        assert await is_in(auth, other)
        assert await auth.session_state(new_id()) is None

    async def test_sessions_are_their_owners(self, auth: Auth) -> None:
        email = email_of()
        signed, current = await registered(auth, email)
        others = [(await opened(auth, signed.user.id, log_in(auth, email, audience="seller")))[1] for _ in range(3)]
        eve, eves = await registered(auth)
        listed = await sessions_of(auth, signed.user.id, current, limit=2)
        assert sorted(view.id for view in listed) == sorted([current, *others])
        assert [(view.id, view.user_agent) for view in listed if view.current] == [(current, "contract")]
        with pytest.raises(BadCursor):
            await auth.list_sessions(signed.user.id, current, PageQuery(cursor="x"))
        with pytest.raises(NotFound):
            await auth.end_session(eve.user.id, others[0])
        assert await is_in(auth, others[0])
        for _ in range(2):
            await auth.end_session(signed.user.id, others[0])
            assert not await is_in(auth, others[0])
        assert await session_ids(auth, signed.user.id) == {current, *others[1:]}
        assert await session_ids(auth, eve.user.id) == {eves}

    @pytest.mark.behaviour("auth-2")
    async def test_a_new_password_ends_all_sessions(self, auth: Auth) -> None:
        email = email_of()
        signed, first = await registered(auth, email)
        _, second = await opened(auth, signed.user.id, log_in(auth, email, audience="seller"))
        _, eves = await registered(auth)
        id_ = signed.user.id
        await refused("auth.bad_credentials", auth.change_password(id_, OTHER, "a third fine password"))
        weak = await refused("auth.weak_password", auth.change_password(id_, PASSWORD, "short"))
        assert [problem.pointer for problem in weak.errors] == ["/new_password"]
        assert await session_ids(auth, id_) == {first, second}
        await auth.change_password(id_, PASSWORD, OTHER)
        assert [await is_in(auth, each) for each in (first, second, eves)] == [False, False, True]
        with pytest.raises(Unauthorized):
            await auth.refresh(signed.session.refresh_token, BUYER)
        await refused("auth.bad_credentials", log_in(auth, email))
        await log_in(auth, email, OTHER)

    @pytest.mark.behaviour("auth-2")
    async def test_a_disabled_account_is_out(self, auth: Auth) -> None:
        email = email_of()
        signed, session_id = await registered(auth, email)
        for _ in range(2):
            await auth.set_disabled(signed.user.id, True, "fraud")
            assert not await is_in(auth, session_id)
        with pytest.raises(MarketplaceError):
            await auth.refresh(signed.session.refresh_token, BUYER)
        assert isinstance(await refused("auth.disabled", log_in(auth, email)), Forbidden)
        await refused("auth.bad_credentials", log_in(auth, email, OTHER))
        assert (await account_of(auth, signed.user.id)).disabled
        await auth.set_disabled(signed.user.id, False)
        assert not await is_in(auth, session_id), "what has ended does not come back"
        assert not (await account_of(auth, signed.user.id)).disabled
        await log_in(auth, email)
        with pytest.raises(NotFound):
            await auth.set_disabled(new_id(), True)
