"""The embedded Elasticsearch of a deployment, which is an OpenSearch: one server, with a prefix for each resource."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.elasticsearch.native import EmbeddedOpenSearch
from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.ports.servers import Native

__all__ = ["NativeElasticsearch"]


class NativeElasticsearch(Native):
    def url(self, resource: str) -> str:
        return EmbeddedOpenSearch(self.data).url(resource)

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        return [("opensearch", EmbeddedOpenSearch(self.data))]
