"""Elasticsearch, and OpenSearch where a resource says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.elasticsearch.server import Elasticsearch

__all__ = ["Elasticsearch"]

__getattr__ = lazily(__name__, {"Elasticsearch": "server"})
