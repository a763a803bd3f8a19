"""Routes of auth. Answers hold tokens, so that no ``Idempotency-Key`` is kept for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from marketplace_auth.domain import normal_email
from marketplace_core.capabilities.auth import (
    Account,
    AccountQuery,
    ApiKey,
    Auth,
    Client,
    Credentials,
    IssuedApiKey,
    KeyAudience,
    KeyName,
    KeyOwner,
    KeyRequest,
    Password,
    Registration,
    Scopes,
    Session,
    SessionView,
    SignedIn,
)
from marketplace_core.errors import Forbidden, Invalid, Problem
from marketplace_core.http.routing import Access, Answer, Request, Router, everybody_of
from marketplace_core.values import AUDIENCES, Audience, Id, Page, PageQuery

__all__ = ["routers"]

OPEN_AUDIENCES = ("buyer", "seller")
USER_AGENT_LENGTH = 200
DEVICE_TOKEN, DEVICE_TOKEN_LENGTH = "X-Device-Token", 200


class RefreshToken(Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(min_length=1, max_length=512)]


class NewPassword(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    new_password: Password


class AdminKeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``seller_id`` for the audience ``seller``, ``carrier`` for ``logistics``, neither for ``admin``."""

    audience: KeyAudience
    name: KeyName
    scopes: Scopes | None = None
    seller_id: Id | None = None
    carrier: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


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
        _all_keys(router, auth)
    elif audience != "buyer":
        _own_keys(router, auth, "shop" if audience == "seller" else "staff", audience)
    return router


def _register(router: Router, auth: Auth) -> None:
    @router.post("/auth/register", access="open", key="ignored", rate="register", subject=lambda body: normal_email(body.email))
    async def register(request: Request, body: Registration) -> Answer[SignedIn]:
        """A new account, logged in."""
        return Answer(await auth.register(body, _client(request)), location="/me")


def _tokens(router: Router, auth: Auth) -> None:
    # By account the service itself counts, and only what fails.
    @router.post("/auth/login", access="open", status=200, key="ignored", rate="login", headers=[DEVICE_TOKEN])
    async def log_in(request: Request, body: Credentials) -> SignedIn:
        """A new session, and a token by which this device is known: it comes in whatever others guess."""
        return await auth.log_in(body, _client(request))

    @router.post("/auth/refresh", access="open", status=200, key="ignored", rate="refresh", subject=_session_of)
    async def refresh(request: Request, body: RefreshToken) -> Session:
        """New tokens for the session. The refresh token is used up: whoever uses it again ends the session."""
        return await auth.refresh(body.refresh_token, _client(request))

    @router.post("/auth/logout", status=204, key="ignored", roles=everybody_of(router.audience))
    async def log_out(request: Request) -> None:
        """End this session."""
        await auth.log_out(_session_id(request))


def _sessions(router: Router, auth: Auth) -> None:
    @router.get("/auth/sessions", roles=everybody_of(router.audience))
    async def list_sessions(request: Request, query: PageQuery) -> Page[SessionView]:
        """Where this account is logged in, on every audience."""
        return await auth.list_sessions(request.account_id, _session_id(request), query)

    @router.delete("/auth/sessions/{id}", key="ignored", roles=everybody_of(router.audience))
    async def end_session(request: Request, id: str) -> None:
        """End one of this account's sessions."""
        await auth.end_session(request.account_id, id)

    @router.post("/auth/password", status=204, key="ignored", rate="password", roles=everybody_of(router.audience))
    async def change_password(request: Request, body: NewPassword) -> None:
        """Change the password. All sessions of the account end, this one too."""
        await auth.change_password(request.account_id, body.password, body.new_password)


def _accounts(router: Router, auth: Auth) -> None:
    @router.get("/accounts", access="staff", scope="accounts")
    async def list_accounts(request: Request, query: AccountQuery) -> Page[Account]:
        """Accounts, the newest first."""
        return await auth.list_accounts(query)

    @router.post("/accounts/{id}/disable", access="staff", status=204, scope="accounts")
    async def disable(request: Request, id: str, body: Reason) -> None:
        """Lock a person out, at once and on every audience."""
        await auth.set_disabled(id, True, body.reason)

    @router.post("/accounts/{id}/enable", access="staff", status=204, scope="accounts")
    async def enable(request: Request, id: str, body: Reason) -> None:
        """Let a person log in again."""
        await auth.set_disabled(id, False, body.reason)


def _own_keys(router: Router, auth: Auth, access: Access, audience: KeyAudience) -> None:
    """Of the shop, or of the carrier. No key makes or revokes keys: these routes have no scope."""

    @router.get("/api-keys", access=access)
    async def list_api_keys(request: Request, query: PageQuery) -> Page[ApiKey]:
        """API keys, the newest first, without the keys themselves."""
        return await auth.list_api_keys(_owner(request), query)

    @router.post("/api-keys", access=access)
    async def create_api_key(request: Request, body: KeyRequest) -> Answer[IssuedApiKey]:
        """A new API key. It is shown this once: keep it."""
        made = await auth.create_api_key(request.account_id, audience, _owner(request), body)
        return Answer(made, location="/api-keys")

    @router.delete("/api-keys/{id}", access=access)
    async def revoke_api_key(request: Request, id: str) -> None:
        """Revoke an API key, at once and on every gateway."""
        await auth.revoke_api_key(_owner(request), id)


def _all_keys(router: Router, auth: Auth) -> None:
    @router.get("/api-keys", access="staff")
    async def list_api_keys(request: Request, query: PageQuery) -> Page[ApiKey]:
        """Everybody's API keys, the newest first, without the keys themselves."""
        return await auth.list_api_keys(KeyOwner(), query)

    @router.post("/api-keys", access="staff")
    async def create_api_key(request: Request, body: AdminKeyRequest) -> Answer[IssuedApiKey]:
        """An API key for a shop, for a carrier, or for this account. It is shown this once."""
        _check_owner(body)
        owner = KeyOwner(body.seller_id, body.carrier)
        made = await auth.create_api_key(request.account_id, body.audience, owner, KeyRequest(body.name, body.scopes))
        return Answer(made, location="/api-keys")

    @router.delete("/api-keys/{id}", access="staff")
    async def revoke_api_key(request: Request, id: str) -> None:
        """Revoke anybody's API key, at once and on every gateway."""
        await auth.revoke_api_key(KeyOwner(), id)


def _owner(request: Request) -> KeyOwner:
    return KeyOwner(request.caller.seller_id, request.caller.carrier)


def _check_owner(body: AdminKeyRequest) -> None:
    """Each audience has one kind of owner. :raises Invalid: with a pointer for what is missing and what is too much."""
    wanted = {"seller": "seller_id", "logistics": "carrier"}.get(body.audience)
    problems = [Problem(f"/{wanted}", "required", "Say whose key it is.")] if wanted and not getattr(body, wanted) else []
    for field in ("seller_id", "carrier"):
        if field != wanted and getattr(body, field) is not None:
            problems.append(Problem(f"/{field}", "unknown_field", f"A key for {body.audience} has none."))
    if problems:
        raise Invalid(problems)


def _session_of(body: RefreshToken) -> str:
    """A refresh token begins with its session's id."""
    return body.refresh_token.partition(".")[0]


def _client(request: Request) -> Client:
    cart_token = request.headers.get("x-cart-token") if request.audience == "buyer" else None
    device = request.headers.get(DEVICE_TOKEN.lower(), "")
    return Client(
        request.audience,
        request.headers.get("user-agent", "")[:USER_AGENT_LENGTH],
        cart_token,
        request.address,
        device if 0 < len(device) <= DEVICE_TOKEN_LENGTH else None,
    )


def _session_id(request: Request) -> str:
    if request.caller.session_id is None:
        raise Forbidden("auth.forbidden", "Log in by e-mail and password for this.")
    return request.caller.session_id
