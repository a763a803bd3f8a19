"""The store port of auth: what is kept, and what a store guarantees by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from marketplace_core.capabilities.auth import Account, AccountQuery, ApiKey, KeyOwner, SessionState
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import Audience

__all__ = [
    "AccountRecord",
    "ApiKeyStore",
    "AuthStore",
    "Failures",
    "LiveApiKey",
    "LiveSession",
    "LoginRecord",
    "Position",
    "SessionRecord",
]

Position = tuple[str, str]


class AccountRecord(Account, frozen=True, kw_only=True):
    """An account with what only this plugin may see."""

    password_hash: str


class Failures(Struct, frozen=True):
    """Failed logins in a row by one digest, and when the last was."""

    count: int
    last_at: datetime


class LoginRecord(Struct, frozen=True):
    """What a login begins with. Each may be missing. ``failures`` are those from its place, ``by_email`` all others'."""

    account: AccountRecord | None
    failures: Failures | None
    by_email: Failures | None = None


class SessionRecord(Struct, frozen=True, kw_only=True):
    """A session, which is a family of refresh tokens: only the newest is good, and only its digest is kept."""

    id: str
    account_id: str
    audience: Audience
    refresh_digest: bytes
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None


class LiveSession(Struct, frozen=True):
    """A session under a lock, with what its account may do."""

    session: SessionRecord
    roles: tuple[str, ...]
    disabled: bool


class LiveApiKey(Struct, frozen=True):
    """An API key that is not revoked, of an account that is not disabled, with the account's roles."""

    key: ApiKey
    roles: tuple[str, ...]


class AuthStore(ABC):
    """Accounts, sessions and failed logins.

    Who ends sessions of an account changes the account first, and who opens one holds it: so none is opened between.
    """

    # accounts

    @abstractmethod
    async def get_accounts(self, ids: Sequence[str]) -> list[AccountRecord]: ...

    @abstractmethod
    async def list_accounts(
        self, query: AccountQuery, email: str | None, after: Position | None
    ) -> list[tuple[AccountRecord, Position]]:
        """One more than a page, the newest first. ``email`` is in its normal form."""

    @abstractmethod
    async def add_account(self, uow: UnitOfWork, account: AccountRecord, email: str) -> None:
        """:raises Conflict: ``auth.email_taken``: an account has this normal form of an e-mail."""

    @abstractmethod
    async def ensure_account(self, uow: UnitOfWork, account: AccountRecord, email: str) -> tuple[AccountRecord, bool]:
        """The account by that e-mail with these roles too, and whether it was made; of a known one the rest stays."""

    @abstractmethod
    async def add_missing(self, uow: UnitOfWork, accounts: Sequence[tuple[AccountRecord, str]]) -> tuple[set[str], set[str]]:
        """Accounts with the normal forms of their e-mails: the ids that were made, and those that were there before."""

    @abstractmethod
    async def change_password(self, uow: UnitOfWork, account_id: str, old_hash: str, new_hash: str) -> bool:
        """False, and nothing changed: its hash is not ``old_hash`` any more."""

    @abstractmethod
    async def set_disabled(self, uow: UnitOfWork, account_id: str, disabled: bool) -> bool | None:
        """Whether that changed it; None: no such account."""

    # failed logins

    @abstractmethod
    async def find_login(self, email: str, digest: bytes, by_email: bytes) -> LoginRecord:
        """By the normal form of an e-mail, and by both digests of failures. One statement, whatever is found."""

    @abstractmethod
    async def count_failure(self, uow: UnitOfWork, digest: bytes, seen: int, free: int, at: datetime) -> bool:
        """Count one more. From ``free`` on only who has ``seen`` the newest count may: False, another was first."""

    @abstractmethod
    async def add_failure(self, uow: UnitOfWork, digest: bytes, at: datetime) -> None:
        """Count one more, whoever has seen what."""

    @abstractmethod
    async def lock_failures(self, uow: UnitOfWork, digest: bytes) -> int:
        """How many there are now; nobody counts until the unit ends."""

    # sessions

    @abstractmethod
    async def add_session(self, uow: UnitOfWork, session: SessionRecord) -> None:
        """Of an account that this unit has made."""

    @abstractmethod
    async def open_session(
        self, uow: UnitOfWork, session: SessionRecord, password_hash: str, digest: bytes, seen: int, free: int
    ) -> bool:
        """Add the session and forget the failures by ``digest``; nobody counts meanwhile.

        False, and nothing done: the account has another password or is disabled; or the failures are ``free`` or more, and
        not those that were ``seen``.
        """

    @abstractmethod
    async def lock_session(self, uow: UnitOfWork, session_id: str) -> LiveSession | None:
        """In any state, held until the unit ends."""

    @abstractmethod
    async def rotate(self, uow: UnitOfWork, session_id: str, digest: bytes, at: datetime, expires_at: datetime) -> None:
        """The session, which the unit holds, is used ``at`` and has a new refresh token."""

    @abstractmethod
    async def hold_live(self, uow: UnitOfWork, session_id: str) -> SessionState | None:
        """What a live session may do; it does not end before the unit does."""

    @abstractmethod
    async def list_sessions(
        self, account_id: str, at: datetime, size: int, after: Position | None
    ) -> list[tuple[SessionRecord, Position]]:
        """Those that are alive ``at``, the newest first; one more than ``size``."""

    @abstractmethod
    async def end_session(self, uow: UnitOfWork, session_id: str, account_id: str | None = None) -> bool:
        """Also one that has ended. False: no such session, or not of this account."""

    @abstractmethod
    async def end_sessions(self, uow: UnitOfWork, account_id: str) -> list[str]:
        """All of the account's. Gives their ids, and those that ended within the last hour, for who asks again."""

    @abstractmethod
    async def purge(self, uow: UnitOfWork, *, over_before: datetime, failed_before: datetime, limit: int) -> int:
        """Delete what ended, expired or was revoked before, and failures before; at most ``limit`` of each. Gives how many."""


class ApiKeyStore(ABC):
    """API keys, by the digest of each."""

    @abstractmethod
    async def add_key(self, uow: UnitOfWork, key: ApiKey, digest: str) -> None: ...

    @abstractmethod
    async def list_keys(self, owner: KeyOwner, size: int, after: Position | None) -> list[tuple[ApiKey, Position]]:
        """Those that are not revoked, the newest first; one more than ``size``."""

    @abstractmethod
    async def hold_key(self, uow: UnitOfWork, digest: str) -> LiveApiKey | None:
        """It is neither revoked nor is its account disabled before the unit ends."""

    @abstractmethod
    async def revoke_key(self, uow: UnitOfWork, owner: KeyOwner, key_id: str) -> str | None:
        """Also one that is revoked. Gives its digest; None: the owner has no such key."""

    @abstractmethod
    async def keys_of(self, uow: UnitOfWork, account_id: str) -> list[str]:
        """The digests of an account's keys that are not revoked."""
