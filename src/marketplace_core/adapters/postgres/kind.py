"""What PostgreSQL is to a deployment: its addresses, its settings, and the roles that it plays."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["POOL_SIZE", "POSTGRES", "NativePostgresSettings", "PostgresSettings"]

POOL_SIZE = 8

_NAME = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}\Z", description="use small letters, digits, - and _, beginning with a letter")
]


class PostgresSettings(ServerSettings, forbid_unknown_fields=True):
    """``pool``: how many connections a process keeps."""

    pool: Annotated[int, Meta(ge=1, le=200, description="give 1 to 200 connections")] = POOL_SIZE


class NativePostgresSettings(PostgresSettings, forbid_unknown_fields=True):
    """``database``: its name; the resource's unless it says otherwise."""

    database: _NAME | None = None


POSTGRES = ServerKind(
    name="postgres",
    schemes=("postgres", "postgresql"),
    open="marketplace_core.adapters.postgres.opening:open_server",
    roles={"sagas": "marketplace_core.adapters.postgres.opening:sagas"},
    truth="marketplace_core.adapters.postgres.truth:PostgresTruth",
    scripts="marketplace_core.adapters._scripts:outside_schema",
    settings=PostgresSettings,
    native="marketplace_core.adapters.postgres.embedded:NativePostgres",
    native_settings=NativePostgresSettings,
)
