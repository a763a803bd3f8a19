"""auth: accounts, sessions and tokens. The truth of a session is its row; a gateway only keeps a short allow-list."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.values import Audience, Page, PageQuery

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

Email = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]
PersonName = Annotated[str, Meta(min_length=1, max_length=200)]


class User(Struct, frozen=True):
    id: str
    email: str
    name: str


class Session(Struct, frozen=True):
    """What a client keeps. ``expires_in`` is seconds of the access token's life."""

    access_token: str
    refresh_token: str
    expires_in: int = 600


class SignedIn(Struct, frozen=True):
    user: User
    session: Session


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    password: Password
    name: PersonName


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Password
    totp: str | None = None


class Client(Struct, frozen=True):
    """Where a request comes from, for the list of sessions; ``cart_token`` of a guest whose cart the account takes."""

    audience: Audience
    user_agent: str = ""
    cart_token: str | None = None


class SessionState(Struct, frozen=True):
    """What a gateway needs to know of a live session: who it is, and as what roles it may act."""

    account_id: str
    session_id: str
    roles: tuple[str, ...] = ()


class SessionView(Struct, frozen=True):
    id: str
    created_at: datetime
    last_used_at: datetime
    user_agent: str
    current: bool


class Account(Struct, frozen=True):
    id: str
    email: str
    name: str
    email_verified: bool
    roles: tuple[str, ...]
    disabled: bool
    created_at: datetime


class AccountQuery(PageQuery, frozen=True, kw_only=True):
    email: str | None = None


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("auth.registered", key="account_id")
class Registered(Event, frozen=True, kw_only=True):
    account_id: str
    email: str
    name: str
    created_at: datetime


@event("auth.refresh_reused", key="account_id")
class RefreshReused(Event, frozen=True, kw_only=True):
    """A refresh token was used twice: its whole family has ended."""

    account_id: str
    session_id: str


@event("auth.password_changed", key="account_id")
class PasswordChanged(Event, frozen=True, kw_only=True):
    account_id: str


@event("auth.account_disabled", key="account_id")
class AccountDisabled(Event, frozen=True, kw_only=True):
    account_id: str
    disabled: bool
    reason: str = ""


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(
    401,
    "auth.required",
    "auth.bad_credentials",
    "auth.token_expired",
    "auth.token_invalid",
    "auth.wrong_audience",
    "auth.refresh_reused",
    "auth.totp_required",
)
declare_codes(403, "auth.forbidden", "auth.disabled")
declare_codes(409, "auth.email_taken")
declare_codes(422, "auth.token_used", "auth.weak_password")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Auth(ABC):
    """Who somebody is. Answers that hold tokens are never stored, so those methods are not retriable."""

    @abstractmethod
    @mutation(retriable=False)
    async def register(self, registration: Registration, client: Client) -> SignedIn:
        """:raises Conflict: ``auth.email_taken``. :raises Refused: ``auth.weak_password``."""

    @abstractmethod
    @mutation(retriable=False)
    async def log_in(self, credentials: Credentials, client: Client) -> SignedIn:
        """:raises Unauthorized: ``auth.bad_credentials``, alike for an unknown e-mail and a wrong password.

        :raises Forbidden: ``auth.disabled``; ``auth.forbidden`` where the audience needs a role.
        """

    @abstractmethod
    @mutation(retriable=False)
    async def refresh(self, refresh_token: str, client: Client) -> Session:
        """Rotate. :raises Unauthorized: ``auth.refresh_reused`` for a used one, and the family ends."""

    @abstractmethod
    @mutation(retriable=True)
    async def log_out(self, session_id: str) -> None:
        """End a session, everywhere, before this returns."""

    @abstractmethod
    @query
    async def session_state(self, session_id: str) -> SessionState | None:
        """The truth about a session, or None when it has ended."""

    @abstractmethod
    @query
    async def list_sessions(self, account_id: str, current: str, page: PageQuery) -> Page[SessionView]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def end_session(self, account_id: str, session_id: str) -> None:
        """:raises NotFound: it is not a session of this account."""

    @abstractmethod
    @mutation(retriable=False)
    async def change_password(self, account_id: str, password: str, new_password: str) -> None:
        """All sessions end."""

    @abstractmethod
    @query
    async def get_accounts(self, ids: list[str]) -> list[Account]: ...

    @abstractmethod
    @query
    async def list_accounts(self, query: AccountQuery) -> Page[Account]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def set_disabled(self, account_id: str, disabled: bool, reason: str = "") -> None:
        """A disabled account is out at once on every gateway."""

    @abstractmethod
    @mutation(retriable=True)
    async def ensure_account(self, registration: Registration, roles: tuple[str, ...]) -> Account:
        """An account by that e-mail with at least these roles; made if absent. For operators only."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class AuthHooks:
    @hookspec
    def provide_auth(self, context: PluginContext) -> Auth:  # type: ignore[empty-body]
        """The capability's provider."""
