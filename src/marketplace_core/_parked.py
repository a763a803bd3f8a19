"""Parked events of every plugin, wherever its inbox is."""

from __future__ import annotations

from collections.abc import Iterator

from marketplace_core._assembly import Process
from marketplace_core.adapters.postgres_outbox import PostgresParking
from marketplace_core.errors import NotFound
from marketplace_core.outbox import Parked

__all__ = ["ParkedEvents"]


class ParkedEvents:
    def __init__(self, process: Process) -> None:
        self._process = process

    def _parkings(self) -> Iterator[tuple[PostgresParking, list[str]]]:
        """Per database, the handlers whose inbox is in it."""
        for name, plugins in self._process.assembly.databases().items():
            handlers = [
                f"{plugin}.{method.__name__}"
                for plugin in plugins
                for method in self._process.all_subscriptions.get(plugin, ())
            ]
            if handlers:
                yield PostgresParking(self._process.resources.database(name)), handlers

    async def list(self) -> list[Parked]:
        """The first of each parked key, the oldest first."""
        found: list[Parked] = []
        for parking, handlers in self._parkings():
            found += await parking.list(handlers)
        return sorted(found, key=lambda parked: (parked.at, parked.id))

    async def request(self, id_: str, *, drop: bool) -> None:
        """:raises NotFound: there is no such parked event."""
        for parking, _ in self._parkings():
            if await parking.request(id_, drop=drop):
                return
        raise NotFound("There is no such parked event.")
