"""Elasticsearch as a resource. The driver is imported when one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core.adapters.elasticsearch.kind import ElasticsearchSettings
from marketplace_core.ports.servers import Opening, Server

if TYPE_CHECKING:
    from marketplace_core.adapters.elasticsearch.server import Elasticsearch

__all__ = ["ElasticsearchServer", "open_server"]


class ElasticsearchServer(Server):
    def __init__(self, url: str, settings: ElasticsearchSettings) -> None:
        self._url, self._settings = url, settings
        self._made: Elasticsearch | None = None

    @property
    def connection(self) -> Elasticsearch:
        """One for all."""
        from marketplace_core.adapters.elasticsearch.server import Elasticsearch  # noqa: PLC0415

        if self._made is None:
            self._made = Elasticsearch(self._url, self._settings)
        return self._made

    async def ready(self) -> None:
        await self.connection.ready()

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()


def open_server(opening: Opening) -> ElasticsearchServer:
    # One of this machine is an OpenSearch, and has no settings.
    told = opening.settings if isinstance(opening.settings, ElasticsearchSettings) else None
    return ElasticsearchServer(opening.url, told or ElasticsearchSettings(flavor="opensearch"))
