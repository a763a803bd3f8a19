"""What MongoDB is to a deployment: its addresses and its settings."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["MONGO", "POOL_SIZE", "MongoSettings"]

POOL_SIZE = 16


class MongoSettings(ServerSettings, forbid_unknown_fields=True):
    """``pool``: how many connections a process keeps at most. ``replica_set``: ``"assumed"`` is for a server that has
    transactions and does not say that it is of a replica set; what it acknowledges may be on one machine only."""

    pool: Annotated[int, Meta(ge=2, le=200, description="give 2 to 200 connections")] = POOL_SIZE
    replica_set: Literal["named", "assumed"] = "named"

    @property
    def trial(self) -> str | None:
        return "replica_set" if self.replica_set == "assumed" else None


MONGO = ServerKind(
    name="mongo",
    schemes=("mongodb", "mongodb+srv"),
    open="marketplace_core.adapters.mongo.opening:open_server",
    truth="marketplace_core.adapters.mongo.truth:MongoTruth",
    keeps=frozenset({"inbox", "schedules", "lease", "migrations"}),
    scripts="marketplace_core.adapters.mongo.scripts:outside",
    settings=MongoSettings,
    native="marketplace_core.adapters.mongo.embedded:NativeMongo",
    needs=("motor",),
)
