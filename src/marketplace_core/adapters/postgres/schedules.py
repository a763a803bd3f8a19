"""Schedules by the deployment's clock, kept in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from marketplace_core.adapters._schedules import BACKOFF, LEASE_SECONDS, LONGEST, Known, StoredSchedules
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.values import Clock

__all__ = ["PostgresSchedules"]


class PostgresSchedules(StoredSchedules):
    def __init__(self, database: Database, clock: Clock, zone: tzinfo = UTC, *, lease: float = LEASE_SECONDS) -> None:
        super().__init__(clock, zone, lease=lease)
        self._database = database

    async def _begin(self, names: Sequence[str], at: datetime) -> None:
        await self._database.execute(
            "INSERT INTO marketplace.schedules AS s (name, last_at) SELECT name, $2 FROM unnest($1::text[]) AS t(name)"
            " ON CONFLICT (name) DO UPDATE SET last_at = excluded.last_at WHERE s.last_at IS NULL",
            list(names),
            at,
        )

    async def _kept(self, names: Sequence[str]) -> Mapping[str, Known]:
        rows = await self._database.fetch(
            "SELECT name, last_at, coalesce(retry_at > clock_timestamp(), false) AS waits"
            " FROM marketplace.schedules WHERE name = ANY($1::text[])",
            list(names),
        )
        return {row["name"]: Known(row["last_at"], row["waits"]) for row in rows}

    async def _claim(self, name: str, owner: str) -> bool:
        row = await self._database.row(
            "INSERT INTO marketplace.schedules AS s (name, owner, owned_until)"
            " VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3::float8)) ON CONFLICT (name) DO UPDATE"
            " SET owner = excluded.owner, owned_until = excluded.owned_until"
            " WHERE s.owner IS NULL OR s.owned_until < clock_timestamp() RETURNING name",
            name,
            owner,
            self._lease,
        )
        return row is not None

    async def _prolong(self, name: str, owner: str) -> None:
        await self._database.execute(
            "UPDATE marketplace.schedules SET owned_until = clock_timestamp() + make_interval(secs => $3::float8)"
            " WHERE (name, owner) = ($1, $2)",
            name,
            owner,
            self._lease,
        )

    async def _release(self, name: str, owner: str) -> None:
        await self._database.execute(
            "UPDATE marketplace.schedules SET owner = NULL, owned_until = NULL WHERE (name, owner) = ($1, $2)", name, owner
        )

    async def _done(self, name: str, owner: str, began: datetime) -> None:
        await self._database.execute(
            "UPDATE marketplace.schedules SET last_at = $3, failures = 0, error = '', retry_at = NULL"
            " WHERE (name, owner) = ($1, $2)",
            name,
            owner,
            began,
        )

    async def _failed(self, name: str, owner: str, error: Exception) -> None:
        await self._database.execute(
            "UPDATE marketplace.schedules SET failures = failures + 1, error = $3, retry_at = clock_timestamp()"
            " + make_interval(secs => least($4::float8, $5::float8 * 2 ^ least(failures, 20)))"
            " WHERE (name, owner) = ($1, $2)",
            name,
            owner,
            f"{type(error).__name__}: {error}",
            LONGEST,
            BACKOFF,
        )
