"""What Elasticsearch is to a deployment: its addresses and settings. What a document is stands in the plugin that keeps it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["ELASTICSEARCH", "ElasticsearchSettings"]


class ElasticsearchSettings(ServerSettings, forbid_unknown_fields=True):
    """``flavor``: whose server it is: an OpenSearch that is not said to be one is refused. ``tls``: whether it is spoken
    to by TLS; ``ca``: a file with the authority of its certificate, if it is none of the machine's. ``seconds``: how long one
    answer may take. ``connections``: of a process, to each host."""

    flavor: Literal["elasticsearch", "opensearch"] = "elasticsearch"
    tls: bool = False
    ca: str | None = None
    seconds: Annotated[float, Meta(gt=0, le=60)] = 5.0
    connections: Annotated[int, Meta(ge=1, le=100)] = 10


class EmbeddedSettings(ServerSettings, forbid_unknown_fields=True):
    """Nothing: it is an OpenSearch of this machine."""


ELASTICSEARCH = ServerKind(
    name="elasticsearch",
    schemes=("elasticsearch",),
    open="marketplace_core.adapters.elasticsearch.opening:open_server",
    settings=ElasticsearchSettings,
    native="marketplace_core.adapters.elasticsearch.embedded:NativeElasticsearch",
    native_settings=EmbeddedSettings,
    needs=("elasticsearch",),
)
