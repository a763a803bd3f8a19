"""Schedules by the deployment's clock, kept in MongoDB."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from pymongo import UpdateOne

from marketplace_core.adapters._schedules import BACKOFF, LEASE_SECONDS, LONGEST, Known, StoredSchedules
from marketplace_core.adapters.mongo.errors import UniqueViolation
from marketplace_core.adapters.mongo.now import after, is_over, runs
from marketplace_core.adapters.mongo.schema import SCHEDULES
from marketplace_core.adapters.mongo.server import Database
from marketplace_core.values import Clock

__all__ = ["MongoSchedules"]


class MongoSchedules(StoredSchedules):
    """Leases, and when what failed is tried again, go by the server's clock."""

    def __init__(self, database: Database, clock: Clock, zone: tzinfo = UTC, *, lease: float = LEASE_SECONDS) -> None:
        super().__init__(clock, zone, lease=lease)
        self._database = database

    async def _begin(self, names: Sequence[str], at: datetime) -> None:
        await self._make(names)
        await self._database.update(SCHEDULES, {"_id": {"$in": list(names)}, "last_at": None}, {"$set": {"last_at": at}})

    async def _make(self, names: Sequence[str]) -> None:
        with contextlib.suppress(UniqueViolation):  # another one makes them, too
            made = [UpdateOne({"_id": name}, {"$setOnInsert": {"failures": 0}}, upsert=True) for name in names]
            await self._database.write(SCHEDULES, made)

    async def _kept(self, names: Sequence[str]) -> Mapping[str, Known]:
        rows = await self._database.aggregate(
            SCHEDULES,
            [
                {"$match": {"_id": {"$in": list(names)}}},
                {"$project": {"last_at": 1, "waits": runs("retry_at")}},
            ],
        )
        return {row["_id"]: Known(row.get("last_at"), row["waits"]) for row in rows}

    async def _claim(self, name: str, owner: str) -> bool:
        await self._make([name])
        free = {"_id": name, "$expr": is_over("owned_until")}
        return bool(await self._database.update(SCHEDULES, free, [{"$set": {"owner": owner, "owned_until": self._end()}}]))

    def _end(self) -> dict[str, Any]:
        return after(int(self._lease * 1000))

    async def _prolong(self, name: str, owner: str) -> None:
        await self._change(name, owner, {"owned_until": self._end()})

    async def _release(self, name: str, owner: str) -> None:
        await self._change(name, owner, {"owner": None, "owned_until": None})

    async def _done(self, name: str, owner: str, began: datetime) -> None:
        await self._change(name, owner, {"last_at": began, "failures": 0, "error": "", "retry_at": None})

    async def _failed(self, name: str, owner: str, error: Exception) -> None:
        pause = {"$min": [LONGEST, {"$multiply": [BACKOFF, {"$pow": [2, {"$min": ["$failures", 20]}]}]}]}
        change = {
            "failures": {"$add": ["$failures", 1]},
            "error": {"$literal": f"{type(error).__name__}: {error}"},
            "retry_at": after({"$multiply": [1000, pause]}),
        }
        await self._change(name, owner, change)

    async def _change(self, name: str, owner: str, change: dict[str, Any]) -> None:
        await self._database.update(SCHEDULES, {"_id": name, "owner": owner}, [{"$set": change}])
