"""The place of these in release 0.1.0."""

from marketplace_core.adapters.postgres.units import PostgresUnit, PostgresUnits

__all__ = ["PostgresUnit", "PostgresUnits"]
