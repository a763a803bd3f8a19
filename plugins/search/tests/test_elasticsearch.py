"""The index in Elasticsearch, on an OpenSearch: the suite of the store port, and what is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from marketplace_search.config import SearchConfig
from marketplace_search.stores.elasticsearch import ElasticsearchStore

from marketplace_core.adapters.elasticsearch import Elasticsearch
from marketplace_core.adapters.elasticsearch.kind import ElasticsearchSettings
from marketplace_core.adapters.elasticsearch.native import EmbeddedOpenSearch
from marketplace_core.values import new_id
from plugins.search.tests.store_contract import SYNONYMS, SearchStoreContract

pytestmark = pytest.mark.xdist_group("opensearch")

Open = Callable[..., ElasticsearchStore]


@pytest_asyncio.fixture
async def server(opensearch_server: EmbeddedOpenSearch) -> AsyncIterator[Elasticsearch]:
    """Its indexes have a prefix of the test's own."""
    made = Elasticsearch(opensearch_server.url(new_id()), ElasticsearchSettings(flavor="opensearch", seconds=20))
    yield made
    async with made.asking() as client:
        await client.options(ignore_status=404).indices.delete_index_template(name=f"{made.prefix}-search")
        await client.indices.delete(index=f"{made.prefix}-*", ignore_unavailable=True)
    await made.close()


@pytest.fixture
def open_store(server: Elasticsearch, tmp_path: Path) -> Open:
    """``open_store()``: the index as one more process has it."""
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text(SYNONYMS)
    return lambda config=None: ElasticsearchStore(server, config or SearchConfig(), synonyms)


@pytest.fixture
def store(open_store: Open) -> ElasticsearchStore:
    return open_store()


@pytest.fixture
def elsewhere(open_store: Open) -> ElasticsearchStore:
    return open_store()


class TestElasticsearchStore(SearchStoreContract):
    pass
