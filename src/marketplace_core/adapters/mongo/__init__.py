"""MongoDB: units of work as multi-document transactions, outbox, parked keys, leases, migrations, and a server of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.mongo.errors import UniqueViolation
    from marketplace_core.adapters.mongo.server import Connection, Database, Document

__all__ = ["Connection", "Database", "Document", "UniqueViolation"]

__getattr__ = lazily(__name__, {**dict.fromkeys(("Connection", "Database", "Document"), "server"), "UniqueViolation": "errors"})
