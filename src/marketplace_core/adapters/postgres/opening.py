"""A PostgreSQL resource as one process uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketplace_core.adapters.postgres.kind import PostgresSettings
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.metrics import PoolState
from marketplace_core.ports.engine import Journal, SagaEngine
from marketplace_core.ports.servers import Opening, Server
from marketplace_core.sagas import Performer, Saga
from marketplace_core.values import Clock

__all__ = ["PostgresServer", "connection", "open_server", "sagas"]


class PostgresServer(Server):
    def __init__(self, name: str, url: str, settings: PostgresSettings) -> None:
        self._database = Database(url, size=settings.pool, name=name)

    @property
    def connection(self) -> Database:
        return self._database

    async def ready(self) -> None:
        await self._database.value("SELECT 1")

    async def close(self) -> None:
        """A transaction that outlives its caller is waited for."""
        await self._database.close()

    def pools(self) -> Sequence[PoolState]:
        return ()  # a database tells of its own


def open_server(opening: Opening) -> PostgresServer:
    settings = opening.settings if isinstance(opening.settings, PostgresSettings) else PostgresSettings()
    return PostgresServer(opening.name, opening.url, settings)


def connection(server: Server) -> Any:
    """For a role that needs no more than the connection."""
    return server.connection


def sagas(server: Server, declared: Sequence[Saga], performer: Performer, clock: Clock, journal: Journal) -> SagaEngine:
    from marketplace_core.adapters.dbos.engine import DbosSagas  # noqa: PLC0415 - only the orchestrator has it

    return DbosSagas(server.connection, declared, performer, clock, journal)
