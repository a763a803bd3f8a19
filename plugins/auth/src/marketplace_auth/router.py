"""Routes of auth. Answers hold tokens, so that no ``Idempotency-Key`` is kept for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from marketplace_core.capabilities.auth import (
    Account,
    AccountQuery,
    Auth,
    Client,
    Credentials,
    Password,
    Registration,
    Session,
    SessionView,
    SignedIn,
)
from marketplace_core.errors import Forbidden
from marketplace_core.http.routing import Answer, Request, Router
from marketplace_core.values import AUDIENCES, Audience, Page, PageQuery

__all__ = ["routers"]

OPEN_AUDIENCES = ("buyer", "seller")
USER_AGENT_LENGTH = 200


class RefreshToken(Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(min_length=1, max_length=512)]


class NewPassword(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    new_password: Password


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=1000)] = ""


def routers(auth: Auth) -> Sequence[Router]:
    return [_router(auth, audience) for audience in AUDIENCES]


def _router(auth: Auth, audience: Audience) -> Router:
    router = Router(audience, "auth")
    if audience in OPEN_AUDIENCES:
        _register(router, auth)
    _tokens(router, auth)
    _sessions(router, auth)
    if audience == "admin":
        _accounts(router, auth)
    return router


def _register(router: Router, auth: Auth) -> None:
    @router.post("/auth/register", access="open", key="ignored")
    async def register(request: Request, body: Registration) -> Answer[SignedIn]:
        """A new account, logged in."""
        return Answer(await auth.register(body, _client(request)), location="/me")


def _tokens(router: Router, auth: Auth) -> None:
    @router.post("/auth/login", access="open", status=200, key="ignored")
    async def log_in(request: Request, body: Credentials) -> SignedIn:
        """A new session."""
        return await auth.log_in(body, _client(request))

    @router.post("/auth/refresh", access="open", status=200, key="ignored")
    async def refresh(request: Request, body: RefreshToken) -> Session:
        """New tokens for the session. The refresh token is used up: whoever uses it again ends the session."""
        return await auth.refresh(body.refresh_token, _client(request))

    @router.post("/auth/logout", status=204, key="ignored")
    async def log_out(request: Request) -> None:
        """End this session."""
        await auth.log_out(_session_id(request))


def _sessions(router: Router, auth: Auth) -> None:
    @router.get("/auth/sessions")
    async def list_sessions(request: Request, query: PageQuery) -> Page[SessionView]:
        """Where this account is logged in, on every audience."""
        return await auth.list_sessions(request.account_id, _session_id(request), query)

    @router.delete("/auth/sessions/{id}", key="ignored")
    async def end_session(request: Request, id: str) -> None:
        """End one of this account's sessions."""
        await auth.end_session(request.account_id, id)

    @router.post("/auth/password", status=204, key="ignored")
    async def change_password(request: Request, body: NewPassword) -> None:
        """Change the password. All sessions of the account end, this one too."""
        await auth.change_password(request.account_id, body.password, body.new_password)


def _accounts(router: Router, auth: Auth) -> None:
    @router.get("/accounts", access="staff")
    async def list_accounts(request: Request, query: AccountQuery) -> Page[Account]:
        """Accounts, the newest first."""
        _check_admin(request)
        return await auth.list_accounts(query)

    @router.post("/accounts/{id}/disable", access="staff", status=204)
    async def disable(request: Request, id: str, body: Reason) -> None:
        """Lock a person out, at once and on every audience."""
        _check_admin(request)
        await auth.set_disabled(id, True, body.reason)

    @router.post("/accounts/{id}/enable", access="staff", status=204)
    async def enable(request: Request, id: str, body: Reason) -> None:
        """Let a person log in again."""
        _check_admin(request)
        await auth.set_disabled(id, False, body.reason)


def _client(request: Request) -> Client:
    cart_token = request.headers.get("x-cart-token") if request.audience == "buyer" else None
    return Client(request.audience, request.headers.get("user-agent", "")[:USER_AGENT_LENGTH], cart_token)


def _session_id(request: Request) -> str:
    if request.caller.session_id is None:
        raise Forbidden("auth.forbidden", "Log in by e-mail and password for this.")
    return request.caller.session_id


def _check_admin(request: Request) -> None:
    """Moderators are staff too, and have no business with accounts."""
    if "admin" not in request.caller.roles:
        raise Forbidden("auth.forbidden", "This account does not have the role for this.")
