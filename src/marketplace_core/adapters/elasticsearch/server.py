"""The client of Elasticsearch as one process has it: elasticsearch-py, whose failures are told as ours."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

from elastic_transport import AiohttpHttpNode, ConnectionTimeout, HttpHeaders, NodeConfig, TlsError
from elastic_transport import ConnectionError as NoConnection
from elastic_transport._node import NodeApiResponse
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from marketplace_core.adapters.elasticsearch.kind import ElasticsearchSettings
from marketplace_core.errors import Unavailable

__all__ = ["BUSY", "Elasticsearch", "OpenSearchNode"]

#: Answers of a server that is there and cannot do it now: too many at once, no shard, a proxy before one that is away.
BUSY = frozenset({429, 502, 503, 504})
_VENDOR = "application/vnd.elasticsearch+"
_AWAY = NoConnection, ConnectionTimeout, TlsError


class OpenSearchNode(AiohttpHttpNode):
    """What the client sends to an Elasticsearch of its version, in words that an OpenSearch takes; and the header by which the
    client knows an Elasticsearch."""

    async def perform_request(  # type: ignore[override]  # as the base class has it, without its defaults
        self, method: str, target: str, body: bytes | None = None, headers: HttpHeaders | None = None, **more: Any
    ) -> Any:
        plain = HttpHeaders(headers or {})
        for name in ("accept", "content-type"):
            if _VENDOR in (plain.get(name) or ""):
                plain[name] = "application/x-ndjson" if "ndjson" in plain[name] else "application/json"
        found = await super().perform_request(method, target, body=body, headers=plain, **more)
        told = HttpHeaders({**found.meta.headers, "x-elastic-product": "Elasticsearch"}).freeze()
        return NodeApiResponse(dataclasses.replace(found.meta, headers=told), found.body)


class Elasticsearch:
    """``elasticsearch://[USER:PASSWORD@]HOST[:9200][,HOST…][/PREFIX]``: names of indexes begin with ``prefix``.

    An API key is the password of the user ``apikey``.
    """

    def __init__(self, url: str, settings: ElasticsearchSettings | None = None) -> None:
        settings = settings or ElasticsearchSettings()
        parts = urlsplit(url)
        self.prefix = parts.path.strip("/") or "marketplace"
        #: Answers come within this, or are given up.
        self.seconds = settings.seconds
        hosts = parts.netloc.rpartition("@")[2].split(",")
        secured: dict[str, Any] = {}
        if parts.username == "apikey":
            secured["api_key"] = unquote(parts.password or "")
        elif parts.username:
            secured["basic_auth"] = unquote(parts.username), unquote(parts.password or "")
        self._client = AsyncElasticsearch(
            [_node(host, settings) for host in hosts],
            node_class=OpenSearchNode if settings.flavor == "opensearch" else AiohttpHttpNode,
            request_timeout=settings.seconds,
            # Another host is tried at once; who waited for one in vain does not wait for all of them.
            max_retries=len(hosts) - 1,
            retry_on_timeout=False,
            **secured,
        )

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[AsyncElasticsearch]:
        """The client, for what is asked within.

        :raises Unavailable: the server is away, busy, or did not answer in time: whether it was done is not known then.
        """
        try:
            yield self._client
        except _AWAY as error:
            raise Unavailable("Elasticsearch does not answer.") from error
        except ApiError as error:
            if error.meta.status in BUSY:
                raise Unavailable("Elasticsearch cannot do it now.") from error
            raise

    async def ready(self) -> None:
        """:raises Unavailable: it does not answer, has no leader, or is not what the deployment says."""
        async with self.asking() as client:
            try:
                await client.cluster.health(wait_for_status="yellow", timeout="0s", filter_path="status")
            except UnsupportedProductError as error:
                raise Unavailable('This is no Elasticsearch; of an OpenSearch say flavor = "opensearch".') from error

    async def close(self) -> None:
        await self._client.close()


def _node(host: str, settings: ElasticsearchSettings) -> NodeConfig:
    name, _, port = host.rpartition(":") if ":" in host.rpartition("]")[2] else (host, "", "9200")
    return NodeConfig(
        "https" if settings.tls else "http",
        name.strip("[]"),
        int(port),
        connections_per_node=settings.connections,
        request_timeout=settings.seconds,
        http_compress=False,
        ca_certs=settings.ca,
    )
