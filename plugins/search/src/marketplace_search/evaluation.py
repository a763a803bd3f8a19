"""How well known products are found: ``words<TAB>sku`` in, figures out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct

from marketplace_search.domain import fold
from marketplace_search.store import SearchStore, Wanted

__all__ = ["Figures", "figures", "read"]

LOOKED_AT = 100


class Figures(Struct, frozen=True, rename={"hit1": "hit@1", "hit10": "hit@10"}):
    """``mrr``: the mean of 1 / place, of the first 100, one of equal title counting as the product itself."""

    mrr: float
    hit1: float
    hit10: float
    p99_ms: float


def read(text: str) -> list[tuple[str, str]]:
    """:raises ValueError: a line has no words and SKU, or there is none."""
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            words, tab, sku = line.partition("\t")
            if not tab or not words.strip() or not sku.strip():
                raise ValueError(f"line {number} is not words, a tab and a SKU")
            pairs.append((words.strip(), sku.strip()))
    if not pairs:
        raise ValueError("there is no search in it")
    return pairs


async def figures(store: SearchStore, pairs: Sequence[tuple[str, str]]) -> Figures:
    places: list[int | None] = []
    took: list[float] = []
    for words, sku in pairs:
        title = await _title(store, sku)
        began = time.perf_counter()
        found = await store.search(Wanted(words=words, size=LOOKED_AT, facets=False))
        took.append(time.perf_counter() - began)
        titles = [fold(hit.record.page.title.strip()) if hit.record.page else "" for hit in found.hits]
        places.append(titles.index(title) + 1 if title is not None and title in titles else None)
    ordered = sorted(took)
    count = len(places)
    return Figures(
        mrr=round(sum(1 / place for place in places if place) / count, 4),
        hit1=round(sum(place == 1 for place in places) / count, 4),
        hit10=round(sum(place is not None and place <= 10 for place in places) / count, 4),
        p99_ms=round(1000 * ordered[min(count - 1, int(count * 0.99))], 2),
    )


async def _title(store: SearchStore, sku: str) -> str | None:
    """Of the product that has this SKU."""
    found = await store.search(Wanted(words=sku, size=LOOKED_AT, facets=False))
    for hit in found.hits:
        page = hit.record.page
        if page is not None and any(variant.sku == sku for variant in page.variants):
            return fold(page.title.strip())
    return None
