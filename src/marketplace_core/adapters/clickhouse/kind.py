"""What ClickHouse is to a deployment. Embedded it is chdb: a folder of this machine, which one process opens."""

from __future__ import annotations

from marketplace_core.ports.servers import ServerKind

__all__ = ["CHDB"]

CHDB = ServerKind(
    name="chdb",
    schemes=("chdb",),
    open="marketplace_core.adapters.clickhouse.opening:open_server",
    one_process=True,
    path=True,
    needs=("chdb", "clickhouse_connect"),
    native="marketplace_core.adapters.clickhouse.opening:NativeChdb",
)
