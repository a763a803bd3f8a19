"""The index in Elasticsearch, or in OpenSearch."""

from marketplace_search.stores.elasticsearch.store import ElasticsearchStore, make

__all__ = ["ElasticsearchStore", "make"]
