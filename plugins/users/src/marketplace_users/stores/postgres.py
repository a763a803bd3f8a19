"""Users in PostgreSQL."""

from __future__ import annotations

from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, Row, json_text
from marketplace_core.capabilities.users import SavedAddress
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import PageQuery
from marketplace_users.store import ProfileRecord, UsersStore

__all__ = ["PostgresUsersStore", "make"]

_PROFILE = "account_id, email, name, locale, preferences::text AS preferences, created_at"
_FIELDS = ("name", "line1", "line2", "city", "region", "postal_code", "country", "phone")
_ADDRESS = ", ".join(("id", *_FIELDS))
_FIND_PROFILE = f"SELECT {_PROFILE} FROM users.profiles WHERE account_id = $1"
_FIND_ADDRESS = f"SELECT {_ADDRESS} FROM users.addresses WHERE account_id = $1 AND id = $2"


class PostgresUsersStore(UsersStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────

    async def find_profile(self, account_id: str) -> ProfileRecord | None:
        return _profile(await self._database.row(_FIND_PROFILE, account_id))

    async def add_profile(self, uow: UnitOfWork, profile: ProfileRecord) -> None:
        await self._database.on(uow).execute(
            "INSERT INTO users.profiles (account_id, email, name, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (account_id) DO NOTHING",
            profile.account_id,
            profile.email,
            profile.name,
            profile.created_at,
            uow.now,
        )

    async def lock_profile(self, uow: UnitOfWork, account_id: str) -> ProfileRecord | None:
        return _profile(await self._database.on(uow).row(f"{_FIND_PROFILE} FOR UPDATE", account_id))

    async def save_profile(self, uow: UnitOfWork, profile: ProfileRecord) -> ProfileRecord:
        saved = await self._database.on(uow).row(
            "UPDATE users.profiles SET name = $2, locale = $3, preferences = $4::text::jsonb, updated_at = $5"
            f" WHERE account_id = $1 RETURNING {_PROFILE}",
            profile.account_id,
            profile.name,
            profile.locale,
            json_text(profile.preferences),
            uow.now,
        )
        return _profile(saved) or profile

    # ── addresses ────────────────────────────────────────────────────────────────────────────────────────────

    async def list_addresses(self, account_id: str, page: PageQuery, after: int | None) -> list[tuple[SavedAddress, int]]:
        rows = await self._database.fetch(
            f"SELECT {_ADDRESS}, position FROM users.addresses WHERE account_id = $1"
            " AND ($2::bigint IS NULL OR position < $2::bigint) ORDER BY position DESC LIMIT $3::int",
            account_id,
            after,
            page.size + 1,
        )
        positions = [row.pop("position") for row in rows]
        return [(SavedAddress(**row), position) for row, position in zip(rows, positions, strict=True)]

    async def find_address(self, account_id: str, address_id: str) -> SavedAddress | None:
        return _address(await self._database.row(_FIND_ADDRESS, account_id, address_id))

    async def add_address(self, uow: UnitOfWork, account_id: str, address: SavedAddress, most: int) -> bool:
        connection = self._database.on(uow)
        # Whoever adds to the same account waits here, so that the next statement sees what it added.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('users.addresses:' || $1, 0))", account_id)
        added = await connection.row(
            f"INSERT INTO users.addresses (account_id, position, {_ADDRESS})"
            f" SELECT $1, coalesce(max(position), 0) + 1, {', '.join(f'${n}' for n in range(3, 4 + len(_FIELDS)))}"
            " FROM users.addresses WHERE account_id = $1 HAVING count(*) < $2::int RETURNING id",
            account_id,
            most,
            address.id,
            *_values(address),
        )
        return added is not None

    async def lock_address(self, uow: UnitOfWork, account_id: str, address_id: str) -> SavedAddress | None:
        return _address(await self._database.on(uow).row(f"{_FIND_ADDRESS} FOR UPDATE", account_id, address_id))

    async def save_address(self, uow: UnitOfWork, address: SavedAddress) -> None:
        changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(_FIELDS, start=2))
        await self._database.on(uow).execute(
            f"UPDATE users.addresses SET {changes} WHERE id = $1", address.id, *_values(address)
        )

    async def delete_address(self, uow: UnitOfWork, address_id: str) -> None:
        await self._database.on(uow).execute("DELETE FROM users.addresses WHERE id = $1", address_id)


def _profile(row: Row | None) -> ProfileRecord | None:
    if row is None:
        return None
    return ProfileRecord(**{**row, "preferences": msgspec.json.decode(row["preferences"])})


def _address(row: Row | None) -> SavedAddress | None:
    return None if row is None else SavedAddress(**row)


def _values(address: SavedAddress) -> list[Any]:
    return [getattr(address, name) for name in _FIELDS]


def make(context: PluginContext) -> PostgresUsersStore:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresUsersStore(context.database)
