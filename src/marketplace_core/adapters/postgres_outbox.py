"""The place of these in release 0.1.0."""

from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.schema import CORE_MIGRATIONS

__all__ = ["CORE_MIGRATIONS", "PostgresOutbox", "PostgresParking"]
