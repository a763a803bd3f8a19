"""auth: accounts, sessions and tokens. The truth of a session is its row; a gateway only keeps a short allow-list."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, Personal, PersonId, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, patient, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import NOT_BLANK, Audience, Imported, Page, PageQuery

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

#: In patterns, what is not seen, or two e-mails that look alike would be two: controls, what joins and turns, marks alone.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
_UNSEEN += r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
_PART = rf"[^@\s{_UNSEEN}]+"

EMAIL = rf"^{_PART}@{_PART}\.{_PART}\Z"
TYPED_EMAIL = rf"^\s*{_PART}@{_PART}\.{_PART}\s*\Z"

Email = Annotated[str, Meta(pattern=EMAIL, max_length=254)]
TypedEmail = Annotated[str, Meta(pattern=TYPED_EMAIL, max_length=254)]
"""As a person writes it into a form: blanks around it are taken away."""
Password = Annotated[str, Meta(min_length=1, max_length=1024)]
PersonName = Annotated[str, Meta(min_length=1, max_length=200, pattern=NOT_BLANK)]


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
    """``device_token`` says at the next login that this device has come in before."""

    user: User
    session: Session
    device_token: str = ""


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    email: TypedEmail
    password: Password
    name: PersonName

    def __post_init__(self) -> None:
        force_setattr(self, "email", self.email.strip())


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Password
    totp: Annotated[str, Meta(max_length=32)] | None = None


class Client(Struct, frozen=True):
    """Where a request comes from, for the list of sessions; ``cart_token`` of a guest whose cart the account takes.

    Failed logins are counted by ``address``; ``device_token`` is that of an earlier login, as it was sent.
    """

    audience: Audience
    user_agent: str = ""
    cart_token: str | None = None
    address: str = ""
    device_token: str | None = None


class SessionState(Struct, frozen=True):
    """What a gateway needs to know of a live session: who it is, and as what roles it may act."""

    account_id: str
    session_id: str
    roles: tuple[str, ...] = ()


KEY_PREFIX = "mk_"
"""How an API key begins: it is told by that from an access token, and found where it should not lie about."""

KeyAudience = Literal["seller", "logistics", "admin"]
KeyName = Annotated[str, Meta(min_length=1, max_length=100)]
Scopes = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)]


def key_digest(key: str) -> str:
    """By which an API key is known. A key holds 256 random bits, so that a plain hash tells nothing of it, and looking a hash
    up takes as long for a good guess as for a bad one."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """``scopes``: those of the audience that are wanted, one at least; None for all that there are now."""

    name: KeyName
    scopes: Scopes | None = None


class KeyOwner(Struct, frozen=True):
    """Whose API keys are meant: a shop's or a carrier's. With neither everybody's, which only an admin may say."""

    seller_id: str | None = None
    carrier: str | None = None


class ApiKey(Struct, frozen=True, kw_only=True):
    """An API key without the key. ``last4`` are its last characters. It is good as long as the account that made it is."""

    id: str
    audience: KeyAudience
    name: str
    scopes: tuple[str, ...]
    seller_id: str | None
    carrier: str | None
    account_id: str
    last4: str
    created_at: datetime


class IssuedApiKey(ApiKey, frozen=True, kw_only=True):
    """The one time that the ``key`` itself is shown."""

    key: str


class ApiKeyState(Struct, frozen=True, kw_only=True):
    """What a gateway needs to know of a live API key."""

    id: str
    account_id: str
    audience: KeyAudience
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    seller_id: str | None = None
    carrier: str | None = None


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


class ImportAccount(Struct, frozen=True, kw_only=True):
    """A person whom another system knows. Without a password: nobody logs in as them."""

    id: str
    email: Email
    name: PersonName
    created_at: datetime


class AccountQuery(PageQuery, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=254)] | None = None


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("auth.registered", key="account_id")
class Registered(Event, frozen=True, kw_only=True):
    account_id: PersonId
    email: Personal[str]
    name: Personal[str]
    created_at: datetime


@event("auth.refresh_reused", key="account_id")
class RefreshReused(Event, frozen=True, kw_only=True):
    """A refresh token was used twice: its whole family has ended."""

    account_id: PersonId
    session_id: Personal[str]


@event("auth.password_changed", key="account_id")
class PasswordChanged(Event, frozen=True, kw_only=True):
    account_id: PersonId


@event("auth.account_disabled", key="account_id")
class AccountDisabled(Event, frozen=True, kw_only=True):
    account_id: PersonId
    disabled: bool
    reason: Personal[str] = ""


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
declare_scopes("admin", "accounts", "operations")


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

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def import_accounts(self, accounts: list[ImportAccount]) -> list[Imported]:
        """Make those whose ids are not known, in the same order; ``auth.email_taken`` where the e-mail is another's."""

    # API keys

    @abstractmethod
    @mutation(retriable=True)
    async def create_api_key(self, account_id: str, audience: KeyAudience, owner: KeyOwner, wanted: KeyRequest) -> IssuedApiKey:
        """A key of that shop or carrier, or (admin) of the account itself.

        :raises Invalid: the audience does not have such a scope. :raises Forbidden: ``auth.forbidden``: not by this account.
        """

    @abstractmethod
    @query
    async def list_api_keys(self, owner: KeyOwner, page: PageQuery) -> Page[ApiKey]:
        """Those that are not revoked, the newest first."""

    @abstractmethod
    @mutation(retriable=True)
    async def revoke_api_key(self, owner: KeyOwner, key_id: str) -> None:
        """It is out on every gateway before this returns. :raises NotFound: it is not a key of this owner."""

    @abstractmethod
    @query
    async def api_key_state(self, digest: str) -> ApiKeyState | None:
        """The truth about an API key by its :func:`key_digest`, or None where it may not be used, or not any more."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class AuthHooks:
    @hookspec
    def provide_auth(self, context: PluginContext) -> Auth:  # type: ignore[empty-body]
        """The capability's provider."""
