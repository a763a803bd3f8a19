"""The place of these in release 0.1.0."""

from marketplace_core.adapters.postgres.schedules import PostgresSchedules

__all__ = ["PostgresSchedules"]
