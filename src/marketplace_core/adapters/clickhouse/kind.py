"""What ClickHouse is to a deployment: a server, or embedded chdb, a folder of this machine, which one process opens."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["CHDB", "CLICKHOUSE", "ClickHouseSettings"]

CHDB = ServerKind(
    name="chdb",
    schemes=("chdb",),
    open="marketplace_core.adapters.clickhouse.opening:open_server",
    one_process=True,
    path=True,
    needs=("chdb", "clickhouse_connect"),
    native="marketplace_core.adapters.clickhouse.opening:NativeChdb",
)


class ClickHouseSettings(ServerSettings, forbid_unknown_fields=True):
    """``seconds``: for so long an answer, or a sign that one is being made, is waited for."""

    seconds: Annotated[int, Meta(ge=1, le=600, description="give 1 to 600 seconds")] = 30


CLICKHOUSE = ServerKind(
    name="clickhouse",
    schemes=("clickhouse", "clickhouses"),
    open="marketplace_core.adapters.clickhouse.opening:open_remote",
    needs=("clickhouse_connect",),
    settings=ClickHouseSettings,
    here="chdb",
)
