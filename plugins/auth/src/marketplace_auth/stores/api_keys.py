"""API keys in PostgreSQL."""

from __future__ import annotations

from marketplace_auth.store import ApiKeyStore, LiveApiKey, Position
from marketplace_core.adapters.postgres import Database, Row
from marketplace_core.capabilities.auth import ApiKey, KeyOwner
from marketplace_core.ports import UnitOfWork

__all__ = ["PostgresApiKeyStore"]

_KEY = "k.id, k.audience, k.name, k.scopes, k.seller_id, k.carrier, k.account_id, k.last4, k.created_at"
#: Of the owner in $1 and $2, or of anybody.
_OWNED = "($1::text IS NULL OR k.seller_id = $1::text) AND ($2::text IS NULL OR k.carrier = $2::text)"


class PostgresApiKeyStore(ApiKeyStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_key(self, uow: UnitOfWork, key: ApiKey, digest: str) -> None:
        await self._database.on(uow).execute(
            "INSERT INTO auth.api_keys (id, digest, account_id, audience, name, scopes, seller_id, carrier, last4, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9, $10)",
            key.id,
            digest,
            key.account_id,
            key.audience,
            key.name,
            list(key.scopes),
            key.seller_id,
            key.carrier,
            key.last4,
            key.created_at,
        )

    async def list_keys(self, owner: KeyOwner, size: int, after: Position | None) -> list[tuple[ApiKey, Position]]:
        rows = await self._database.fetch(
            f"SELECT {_KEY}, k.created_at AS position FROM auth.api_keys k WHERE {_OWNED} AND k.revoked_at IS NULL"
            " AND ($3::timestamptz IS NULL OR (k.created_at, k.id) < ($3::timestamptz, $4::text))"
            " ORDER BY k.created_at DESC, k.id DESC LIMIT $5::int",
            owner.seller_id,
            owner.carrier,
            *(after or (None, None)),
            size + 1,
        )
        return [(_key(row), (row["position"], row["id"])) for row in rows]

    async def hold_key(self, uow: UnitOfWork, digest: str) -> LiveApiKey | None:
        row = await self._database.on(uow).row(
            f"SELECT {_KEY}, a.roles FROM auth.api_keys k JOIN auth.accounts a ON a.id = k.account_id"
            " WHERE k.digest = $1 AND k.revoked_at IS NULL AND NOT a.disabled FOR SHARE",
            digest,
        )
        return None if row is None else LiveApiKey(_key(row), tuple(row["roles"]))

    async def revoke_key(self, uow: UnitOfWork, owner: KeyOwner, key_id: str) -> str | None:
        digest = await self._database.on(uow).value(
            "UPDATE auth.api_keys k SET revoked_at = coalesce(k.revoked_at, $4)"
            f" WHERE {_OWNED} AND k.id = $3 RETURNING k.digest",
            owner.seller_id,
            owner.carrier,
            key_id,
            uow.now,
        )
        return None if digest is None else str(digest)

    async def keys_of(self, uow: UnitOfWork, account_id: str) -> list[str]:
        rows = await self._database.on(uow).fetch(
            "SELECT digest FROM auth.api_keys WHERE account_id = $1 AND revoked_at IS NULL", account_id
        )
        return [row["digest"] for row in rows]


def _key(row: Row) -> ApiKey:
    values = {name: row[name] for name in ApiKey.__struct_fields__}
    return ApiKey(**values | {"scopes": tuple(row["scopes"])})
