"""ClickHouse as one process uses it, and a folder for it in the data folder. Nothing here loads the driver."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from marketplace_core.adapters.clickhouse.kind import ClickHouseSettings
from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.ports.servers import Native, Opening, Server

__all__ = ["ClickHouseServer", "NativeChdb", "open_remote", "open_server"]


class ClickHouseServer(Server):
    def __init__(self, dsn: str, settings: ClickHouseSettings | None = None) -> None:
        self._client = ClickHouse(dsn, (settings or ClickHouseSettings()).seconds)

    @property
    def connection(self) -> ClickHouse:
        return self._client

    async def ready(self) -> None:
        await self._client.ready()

    async def close(self) -> None:
        await self._client.close()


def open_server(opening: Opening) -> ClickHouseServer:
    folder = opening.url.partition(":")[2].removeprefix("//")
    return ClickHouseServer(f"chdb://{os.path.abspath(folder)}")


def open_remote(opening: Opening) -> ClickHouseServer:
    return ClickHouseServer(opening.url, opening.settings if isinstance(opening.settings, ClickHouseSettings) else None)


class NativeChdb(Native):
    def _folder(self, resource: str) -> Path:
        return self.data.resolve() / "analytics" / resource

    def url(self, resource: str) -> str:
        return f"chdb://{os.fspath(self._folder(resource))}"

    async def prepare(self, when: Literal["before", "after"]) -> None:
        if when == "before":
            for resource in self.resources:
                self._folder(resource).parent.mkdir(parents=True, exist_ok=True)
