"""Records as they are made, and as others see them."""

from __future__ import annotations

from datetime import datetime

from marketplace_auth.store import AccountRecord, SessionRecord
from marketplace_core.capabilities.auth import Account, ImportAccount, Registered, Registration, SessionView, User
from marketplace_core.values import new_id

__all__ = ["account", "imported_account", "new_account", "registered", "session", "user"]


def new_account(registration: Registration, password_hash: str, at: datetime, roles: tuple[str, ...] = ()) -> AccountRecord:
    return AccountRecord(
        id=new_id(),
        email=registration.email,
        name=registration.name,
        email_verified=False,
        roles=roles,
        disabled=False,
        created_at=at,
        password_hash=password_hash,
    )


def imported_account(person: ImportAccount, no_password: str) -> AccountRecord:
    return AccountRecord(
        id=person.id,
        email=person.email,
        name=person.name,
        email_verified=False,
        roles=(),
        disabled=False,
        created_at=person.created_at,
        password_hash=no_password,
    )


def account(record: AccountRecord) -> Account:
    """Without what only this plugin may see."""
    return Account(**{name: getattr(record, name) for name in Account.__struct_fields__})


def user(record: AccountRecord) -> User:
    return User(record.id, record.email, record.name)


def registered(record: AccountRecord) -> Registered:
    return Registered(account_id=record.id, email=record.email, name=record.name, created_at=record.created_at)


def session(record: SessionRecord, current: str) -> SessionView:
    return SessionView(record.id, record.created_at, record.last_used_at, record.user_agent, record.id == current)
