"""An index in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marketplace_search.config import SearchConfig
from marketplace_search.stores.tantivy import TantivyStore

from marketplace_core._runtime.pools import ThreadPool
from plugins.search.tests.store_contract import SYNONYMS


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., TantivyStore]]:
    """``open_store(name)``: the index in a folder of that name, as one more process has it."""
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text(SYNONYMS)

    def make(name: str = "index", config: SearchConfig | None = None) -> TantivyStore:
        pools = ThreadPool("read", 2), ThreadPool("write", 1)
        return TantivyStore(tmp_path / name, config or SearchConfig(), *pools, synonyms)

    yield make


@pytest.fixture
def store(open_store: Callable[..., TantivyStore]) -> TantivyStore:
    return open_store()


@pytest.fixture
def elsewhere(open_store: Callable[..., TantivyStore]) -> TantivyStore:
    return open_store()
