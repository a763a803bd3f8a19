"""What a SQLite file is to a deployment: its addresses and its settings."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["READERS", "SQLITE", "SqliteSettings"]

READERS = 4


class SqliteSettings(ServerSettings, forbid_unknown_fields=True):
    """``readers``: how many read at a time in a process; there is always one that writes."""

    readers: Annotated[int, Meta(ge=1, le=64, description="give 1 to 64 readers")] = READERS


SQLITE = ServerKind(
    name="sqlite",
    schemes=("sqlite",),
    open="marketplace_sqlite.opening:open_server",
    truth="marketplace_sqlite.truth:SqliteTruth",
    keeps=frozenset({"inbox", "lease", "migrations"}),
    scripts="marketplace_sqlite.scripts:outside",
    settings=SqliteSettings,
    native="marketplace_sqlite.opening:NativeSqlite",
    path=True,
)
