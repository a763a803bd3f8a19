"""The adapter of Elasticsearch, on an OpenSearch: what it refuses, and how long it waits for one that is away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from marketplace_core.adapters.elasticsearch.kind import ElasticsearchSettings
from marketplace_core.adapters.elasticsearch.native import EmbeddedOpenSearch
from marketplace_core.adapters.elasticsearch.opening import ElasticsearchServer
from marketplace_core.adapters.elasticsearch.server import Elasticsearch
from marketplace_core.errors import Unavailable
from tests.core.silence import Hole

pytestmark = pytest.mark.xdist_group("opensearch")


@pytest_asyncio.fixture
async def hole(opensearch_server: EmbeddedOpenSearch) -> AsyncIterator[Hole]:
    made = Hole(opensearch_server.port)
    async with made.listening():
        yield made


@pytest_asyncio.fixture
async def client(hole: Hole) -> AsyncIterator[Elasticsearch]:
    made = Elasticsearch(f"elasticsearch://127.0.0.1:{hole.port}/p", ElasticsearchSettings(flavor="opensearch", seconds=0.5))
    yield made
    await made.close()


async def test_what_is_no_elasticsearch_is_said_to_be_none(opensearch_server: EmbeddedOpenSearch) -> None:
    server = ElasticsearchServer(opensearch_server.url(), ElasticsearchSettings())
    with pytest.raises(Unavailable, match='flavor = "opensearch"'):
        await server.ready()
    await server.close()


async def test_who_does_not_answer_is_waited_for_no_longer_than_said_and_is_there_again_without_a_restart(
    hole: Hole, client: Elasticsearch
) -> None:
    for _ in range(2):
        await client.ready()
        hole.silent = True
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await client.ready()
        assert 0.4 < time.monotonic() - began < 2
        hole.silent = False
        hole.tear()


async def test_nobody_is_there() -> None:
    client = Elasticsearch("elasticsearch://127.0.0.1:1,[::1]:1/p")
    with pytest.raises(Unavailable, match="does not answer"):
        await client.ready()
    await client.close()


async def test_a_mistake_is_not_taken_for_an_absence(client: Elasticsearch) -> None:
    with pytest.raises(Exception, match="parsing_exception"):
        async with client.asking() as asked:
            await asked.search(index="*", query={"no_such_query": {}})


@pytest.mark.parametrize(
    ("url", "prefix", "hosts"),
    [
        ("elasticsearch://h", "marketplace", ["http://h:9200"]),
        ("elasticsearch://u:p%40@h:9201,[::1]:9/shop", "shop", ["http://h:9201", "http://[::1]:9"]),
        ("elasticsearch://apikey:abc@a,b:1/s", "s", ["http://a:9200", "http://b:1"]),
    ],
)
async def test_addresses(url: str, prefix: str, hosts: list[str]) -> None:
    client = Elasticsearch(url)
    async with client.asking() as asked:
        assert sorted(node.base_url for node in asked.transport.node_pool.all()) == sorted(hosts)
    assert client.prefix == prefix
    await client.close()
