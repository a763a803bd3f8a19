"""PostgreSQL: connections, units of work, outbox, parked keys, schedules, leases, migrations, and a server of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.postgres.server import Connection, Database, Row, UniqueViolation, json_text, with_database

__all__ = ["Connection", "Database", "Row", "UniqueViolation", "json_text", "with_database"]

__getattr__ = lazily(__name__, dict.fromkeys(__all__, "server"))
