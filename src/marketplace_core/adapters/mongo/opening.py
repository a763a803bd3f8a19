"""A MongoDB resource as one process uses it."""

from __future__ import annotations

from marketplace_core.adapters.mongo.kind import MongoSettings
from marketplace_core.adapters.mongo.migrate import check_server
from marketplace_core.adapters.mongo.server import Database
from marketplace_core.errors import Unavailable
from marketplace_core.ports.servers import MigrationError, Opening, Server

__all__ = ["MongoServer", "open_server"]


class MongoServer(Server):
    def __init__(self, name: str, url: str, settings: MongoSettings) -> None:
        self._database = Database(url, size=settings.pool, name=name)
        self.assumed = settings.replica_set == "assumed"

    @property
    def connection(self) -> Database:
        return self._database

    async def ready(self) -> None:
        """It answers, is of a replica set, and commits a transaction of two documents."""
        try:
            await check_server(self._database, assumed=self.assumed)
        except MigrationError as error:
            raise Unavailable(str(error)) from error

    async def close(self) -> None:
        """A transaction that outlives its caller is waited for."""
        await self._database.close()


def open_server(opening: Opening) -> MongoServer:
    settings = opening.settings if isinstance(opening.settings, MongoSettings) else MongoSettings()
    return MongoServer(opening.name, opening.url, settings)
