"""auth in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_auth.store import (
    AccountRecord,
    AuthStore,
    Failures,
    LiveSession,
    LoginRecord,
    Position,
    SessionRecord,
)
from marketplace_auth.stores.api_keys import PostgresApiKeyStore
from marketplace_core.adapters.postgres import Database, Row, json_text
from marketplace_core.capabilities.auth import AccountQuery, SessionState
from marketplace_core.context import PluginContext
from marketplace_core.errors import Conflict
from marketplace_core.ports import UnitOfWork

__all__ = ["PostgresAuthStore", "make"]

_ACCOUNT = "a.id, a.email, a.email_verified, a.name, a.password_hash, a.roles, a.disabled, a.created_at"
_SESSION = (
    "s.id, s.account_id, s.audience, s.refresh_digest, s.user_agent, s.created_at, s.last_used_at, s.expires_at, s.ended_at"
)
_ACCOUNT_COLUMNS = "(id, email, email_normal, email_verified, name, password_hash, roles, disabled, created_at)"
_SESSION_COLUMNS = "(id, account_id, audience, refresh_digest, user_agent, created_at, last_used_at, expires_at)"

_ADD_ACCOUNT = f"""
INSERT INTO auth.accounts AS a {_ACCOUNT_COLUMNS} VALUES ($1, $2, $3, $4, $5, $6, $7::text[], $8, $9)
"""

_ADD_NEW = f"{_ADD_ACCOUNT} ON CONFLICT (email_normal) DO NOTHING RETURNING a.id"

_ENSURE_ACCOUNT = f"""
{_ADD_ACCOUNT} ON CONFLICT (email_normal) DO UPDATE SET roles = (
  SELECT coalesce(array_agg(DISTINCT role ORDER BY role), '{{}}') FROM unnest(a.roles || excluded.roles) AS role)
RETURNING {_ACCOUNT}
"""

#: Rows go in by the order of their e-mails, so that two such calls never wait for each other. $1: accounts as JSON
_ADD_MISSING = f"""
INSERT INTO auth.accounts {_ACCOUNT_COLUMNS}
SELECT id, email, email_normal, email_verified, name, password_hash, '{{}}', disabled, created_at
FROM jsonb_to_recordset($1::text::jsonb) AS g(id text, email text, email_normal text, email_verified boolean,
  name text, password_hash text, disabled boolean, created_at timestamptz)
ORDER BY email_normal
ON CONFLICT DO NOTHING RETURNING id
"""

_FIND_LOGIN = f"""
SELECT {_ACCOUNT}, f.failures, f.last_at, e.failures AS email_failures, e.last_at AS email_last_at FROM (SELECT 1) AS one
LEFT JOIN auth.accounts a ON a.email_normal = $1
LEFT JOIN auth.login_failures f ON f.email_digest = $2
LEFT JOIN auth.login_failures e ON e.email_digest = $3
"""

_COUNT_FAILURE = """
INSERT INTO auth.login_failures AS f (email_digest, failures, last_at) VALUES ($1, 1, $4)
ON CONFLICT (email_digest) DO UPDATE SET failures = f.failures + 1, last_at = excluded.last_at
  WHERE f.failures = $2::int OR f.failures < $3::int
RETURNING failures
"""

_ADD_FAILURE = """
INSERT INTO auth.login_failures AS f (email_digest, failures, last_at) VALUES ($1, 1, $2)
ON CONFLICT (email_digest) DO UPDATE SET failures = f.failures + 1, last_at = excluded.last_at
"""

_OPEN_SESSION = f"""
WITH held AS (
  SELECT failures FROM auth.login_failures WHERE email_digest = $10 FOR UPDATE
), opened AS (
  INSERT INTO auth.sessions {_SESSION_COLUMNS}
  SELECT $1, a.id, $3, $4, $5, $6, $7, $8 FROM auth.accounts a
  WHERE a.id = $2 AND a.password_hash = $9 AND NOT a.disabled
    AND NOT EXISTS (SELECT FROM held WHERE failures >= $12::int AND failures <> $11::int)
  FOR SHARE OF a
  RETURNING id
), forgotten AS (
  DELETE FROM auth.login_failures WHERE email_digest = $10 AND EXISTS (SELECT FROM opened)
)
SELECT id FROM opened
"""

_PURGE = """
WITH over AS (
  DELETE FROM auth.sessions WHERE id IN (
    SELECT id FROM auth.sessions WHERE least(ended_at, expires_at) < $1 LIMIT $3::int) RETURNING 1
), failed AS (
  DELETE FROM auth.login_failures WHERE email_digest IN (
    SELECT email_digest FROM auth.login_failures WHERE last_at < $2 LIMIT $3::int) RETURNING 1
), revoked AS (
  DELETE FROM auth.api_keys WHERE id IN (
    SELECT id FROM auth.api_keys WHERE revoked_at < $1 LIMIT $3::int) RETURNING 1
)
SELECT (SELECT count(*) FROM over) + (SELECT count(*) FROM failed) + (SELECT count(*) FROM revoked) AS deleted
"""


class PostgresAuthStore(AuthStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────

    async def get_accounts(self, ids: Sequence[str]) -> list[AccountRecord]:
        rows = await self._database.fetch(
            f"SELECT {_ACCOUNT} FROM auth.accounts a WHERE a.id = ANY($1::text[])",
            list(ids),
        )
        return [_account(row) for row in rows]

    async def list_accounts(
        self, query: AccountQuery, email: str | None, after: Position | None
    ) -> list[tuple[AccountRecord, Position]]:
        rows = await self._database.fetch(
            f"SELECT {_ACCOUNT}, a.created_at AS position FROM auth.accounts a"
            " WHERE ($1::text IS NULL OR a.email_normal = $1::text)"
            " AND ($2::timestamptz IS NULL OR (a.created_at, a.id) < ($2::timestamptz, $3::text))"
            " ORDER BY a.created_at DESC, a.id DESC LIMIT $4::int",
            email,
            *(after or (None, None)),
            query.size + 1,
        )
        return [(_account(row), (row["position"], row["id"])) for row in rows]

    async def add_account(self, uow: UnitOfWork, account: AccountRecord, email: str) -> None:
        # Not by its violation: a database of one's own may log that with the e-mail.
        if await self._database.on(uow).row(_ADD_NEW, *_account_values(account, email)) is None:
            raise Conflict("auth.email_taken", "There is an account with this e-mail; log in instead.")

    async def ensure_account(self, uow: UnitOfWork, account: AccountRecord, email: str) -> tuple[AccountRecord, bool]:
        row = await self._database.on(uow).row(_ENSURE_ACCOUNT, *_account_values(account, email))
        if row is None:
            raise RuntimeError("an upsert gave no row")
        return _account(row), row["id"] == account.id

    async def add_missing(self, uow: UnitOfWork, accounts: Sequence[tuple[AccountRecord, str]]) -> tuple[set[str], set[str]]:
        connection = self._database.on(uow)
        given = [msgspec.to_builtins(account) | {"email_normal": email} for account, email in accounts]
        made = {row["id"] for row in await connection.fetch(_ADD_MISSING, json_text(given))}
        rows = await connection.fetch(
            "SELECT id FROM auth.accounts WHERE id = ANY($1::text[])", [account.id for account, _ in accounts]
        )
        return made, {row["id"] for row in rows} - made

    async def change_password(self, uow: UnitOfWork, account_id: str, old_hash: str, new_hash: str) -> bool:
        changed = await self._database.on(uow).row(
            "UPDATE auth.accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING id",
            account_id,
            old_hash,
            new_hash,
        )
        return changed is not None

    async def set_disabled(self, uow: UnitOfWork, account_id: str, disabled: bool) -> bool | None:
        connection = self._database.on(uow)
        was = await connection.value("SELECT disabled FROM auth.accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)
        if was is None:
            return None
        await connection.execute("UPDATE auth.accounts SET disabled = $2 WHERE id = $1", account_id, disabled)
        return bool(was != disabled)

    # ── failed logins ────────────────────────────────────────────────────────────────────────────────────────

    async def find_login(self, email: str, digest: bytes, by_email: bytes) -> LoginRecord:
        row = await self._database.row(_FIND_LOGIN, email, digest, by_email)
        if row is None:
            raise RuntimeError("an outer join gave no row")
        account = _account(row) if row["id"] is not None else None
        return LoginRecord(account, _failures(row, ""), _failures(row, "email_"))

    async def count_failure(self, uow: UnitOfWork, digest: bytes, seen: int, free: int, at: datetime) -> bool:
        return await self._database.on(uow).row(_COUNT_FAILURE, digest, seen, free, at) is not None

    async def add_failure(self, uow: UnitOfWork, digest: bytes, at: datetime) -> None:
        await self._database.on(uow).execute(_ADD_FAILURE, digest, at)

    async def lock_failures(self, uow: UnitOfWork, digest: bytes) -> int:
        count = await self._database.on(uow).value(
            "SELECT failures FROM auth.login_failures WHERE email_digest = $1 FOR UPDATE", digest
        )
        return int(count or 0)

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────

    async def add_session(self, uow: UnitOfWork, session: SessionRecord) -> None:
        await self._database.on(uow).execute(
            f"INSERT INTO auth.sessions {_SESSION_COLUMNS} VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            *_session_values(session),
        )

    async def open_session(
        self, uow: UnitOfWork, session: SessionRecord, password_hash: str, digest: bytes, seen: int, free: int
    ) -> bool:
        values = _session_values(session)
        row = await self._database.on(uow).row(_OPEN_SESSION, *values, password_hash, digest, seen, free)
        return row is not None

    async def lock_session(self, uow: UnitOfWork, session_id: str) -> LiveSession | None:
        row = await self._database.on(uow).row(
            f"SELECT {_SESSION}, a.roles, a.disabled FROM auth.sessions s"
            " JOIN auth.accounts a ON a.id = s.account_id WHERE s.id = $1 FOR NO KEY UPDATE OF s",
            session_id,
        )
        return None if row is None else LiveSession(_session(row), tuple(row["roles"]), row["disabled"])

    async def rotate(self, uow: UnitOfWork, session_id: str, digest: bytes, at: datetime, expires_at: datetime) -> None:
        await self._database.on(uow).execute(
            "UPDATE auth.sessions SET refresh_digest = $2, last_used_at = $3, expires_at = $4 WHERE id = $1",
            session_id,
            digest,
            at,
            expires_at,
        )

    async def hold_live(self, uow: UnitOfWork, session_id: str) -> SessionState | None:
        # Whatever disables an account ends its sessions, so the lock on the session's row is enough.
        row = await self._database.on(uow).row(
            "SELECT s.account_id, s.id, a.roles FROM auth.sessions s JOIN auth.accounts a ON a.id = s.account_id"
            " WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND NOT a.disabled FOR SHARE OF s",
            session_id,
            uow.now,
        )
        return None if row is None else SessionState(row["account_id"], row["id"], tuple(row["roles"]))

    async def list_sessions(
        self, account_id: str, at: datetime, size: int, after: Position | None
    ) -> list[tuple[SessionRecord, Position]]:
        rows = await self._database.fetch(
            f"SELECT {_SESSION}, s.created_at AS position FROM auth.sessions s"
            " WHERE s.account_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2"
            " AND ($3::timestamptz IS NULL OR (s.created_at, s.id) < ($3::timestamptz, $4::text))"
            " ORDER BY s.created_at DESC, s.id DESC LIMIT $5::int",
            account_id,
            at,
            *(after or (None, None)),
            size + 1,
        )
        return [(_session(row), (row["position"], row["id"])) for row in rows]

    async def end_session(self, uow: UnitOfWork, session_id: str, account_id: str | None = None) -> bool:
        ended = await self._database.on(uow).row(
            "UPDATE auth.sessions SET ended_at = coalesce(ended_at, $2)"
            " WHERE id = $1 AND ($3::text IS NULL OR account_id = $3::text) RETURNING id",
            session_id,
            uow.now,
            account_id,
        )
        return ended is not None

    async def end_sessions(self, uow: UnitOfWork, account_id: str) -> list[str]:
        rows = await self._database.on(uow).fetch(
            "UPDATE auth.sessions SET ended_at = coalesce(ended_at, $2::timestamptz) WHERE account_id = $1"
            " AND (ended_at IS NULL OR ended_at > $2::timestamptz - interval '1 hour') RETURNING id",
            account_id,
            uow.now,
        )
        return [row["id"] for row in rows]

    async def purge(self, uow: UnitOfWork, *, over_before: datetime, failed_before: datetime, limit: int) -> int:
        return int(await self._database.on(uow).value(_PURGE, over_before, failed_before, limit))


def _account(row: Row) -> AccountRecord:
    fields = ("id", "email", "name", "email_verified", "disabled", "created_at", "password_hash")
    return AccountRecord(roles=tuple(row["roles"]), **{name: row[name] for name in fields})


def _failures(row: Row, prefix: str) -> Failures | None:
    count = row[f"{prefix}failures"]
    return None if count is None else Failures(count, row[f"{prefix}last_at"])


def _account_values(account: AccountRecord, email: str) -> list[Any]:
    return [
        account.id,
        account.email,
        email,
        account.email_verified,
        account.name,
        account.password_hash,
        list(account.roles),
        account.disabled,
        account.created_at,
    ]


def _session(row: Row) -> SessionRecord:
    return SessionRecord(**{name: row[name] for name in SessionRecord.__struct_fields__})


def _session_values(session: SessionRecord) -> list[Any]:
    return [
        session.id,
        session.account_id,
        session.audience,
        session.refresh_digest,
        session.user_agent,
        session.created_at,
        session.last_used_at,
        session.expires_at,
    ]


def make(context: PluginContext) -> tuple[PostgresAuthStore, PostgresApiKeyStore]:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresAuthStore(context.database), PostgresApiKeyStore(context.database)
