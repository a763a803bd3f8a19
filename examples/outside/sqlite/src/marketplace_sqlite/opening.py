"""A SQLite file as one process uses it, and one in the data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from marketplace_core.ports.servers import Native, Opening, Server
from marketplace_sqlite.kind import SqliteSettings
from marketplace_sqlite.server import Database

__all__ = ["NativeSqlite", "SqliteServer", "open_server"]


class SqliteServer(Server):
    def __init__(self, name: str, path: Path, settings: SqliteSettings) -> None:
        self._database = Database(path, name=name, readers=settings.readers)

    @property
    def connection(self) -> Database:
        return self._database

    async def ready(self) -> None:
        await self._database.value("SELECT 1")

    async def close(self) -> None:
        """A transaction that outlives its caller is waited for."""
        await self._database.close()


def open_server(opening: Opening) -> SqliteServer:
    settings = opening.settings if isinstance(opening.settings, SqliteSettings) else SqliteSettings()
    return SqliteServer(opening.name, Path(opening.url.removeprefix("file://").removeprefix("sqlite:")), settings)


class NativeSqlite(Native):
    """A file needs no server: there is nothing to start."""

    def _file(self, resource: str) -> Path:
        return self.data.resolve() / "sqlite" / f"{resource}.db"

    def url(self, resource: str) -> str:
        return f"file://{os.fspath(self._file(resource))}"

    async def prepare(self, when: Literal["before", "after"]) -> None:
        if when == "before":
            for resource in self.resources:
                self._file(resource).parent.mkdir(parents=True, exist_ok=True)
