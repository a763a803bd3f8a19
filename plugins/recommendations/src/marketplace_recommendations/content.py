"""What is like an item that hardly anybody has touched: by category, seller and the words of its title."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from marketplace_recommendations.store import Features

__all__ = ["content_rows"]

#: What is like an item by its words is kept for so many, and counts so much of the best that people chose together.
NEAREST, SHARE = 30, 0.3
#: A word that more products than this have tells nothing.
COMMON = 1000
#: An item with so many actions counts half by its words.
COLD = 3.0
BLOCK = 2000
_WORD = re.compile(r"\w{2,}")


def _tokens(each: Features) -> Iterator[str]:
    """With every category above it: what shares only the top is a little alike."""
    yield f"seller {each.seller_id}"
    for depth in range(1, len(each.category_path) + 1):
        yield f"in {' > '.join(each.category_path[:depth])}"
    yield from set(_WORD.findall(each.title.casefold()))


def content_rows(features: Sequence[Features], numbers: Mapping[str, int], counts: NDArray[np.float32]) -> Any:
    """A matrix like the model's, of ``numbers`` by ``numbers``: what is cold with everything, by the cosine of its words.

    ``counts``: the actions on each item; the more there are, the less its words count.
    """
    size = len(numbers)
    words: dict[str, int] = {}
    rows, columns = [], []
    for each in features:
        for token in _tokens(each):
            rows.append(numbers[each.id])
            columns.append(words.setdefault(token, len(words)))
    if not rows:
        return sp.csr_matrix((size, size), dtype=np.float32)
    having = np.bincount(columns, minlength=len(words))
    weights = np.where(having <= COMMON, np.log(1 + len(features) / having), 0.0)
    given = sp.csr_matrix((weights[columns].astype(np.float32), (rows, columns)), shape=(size, len(words)))
    length = np.sqrt(np.asarray(given.multiply(given).sum(axis=1)).ravel())
    given = sp.diags(np.where(length > 0, 1 / np.maximum(length, 1e-9), 0.0).astype(np.float32)) @ given
    found = _nearest(given.tocsr())
    cold = sp.diags((SHARE * COLD / (COLD + counts)).astype(np.float32))
    return cold @ found + found.T @ cold


def _nearest(given: Any) -> Any:
    """Of each row the :data:`NEAREST` others by cosine."""
    rows, columns, scores = [], [], []
    for first in range(0, given.shape[0], BLOCK):
        alike = (given[first : first + BLOCK] @ given.T).tocsr()
        for place in range(alike.shape[0]):
            items = alike.indices[alike.indptr[place] : alike.indptr[place + 1]]
            values = np.where(items == first + place, 0, alike.data[alike.indptr[place] : alike.indptr[place + 1]])
            best = np.lexsort((items, -values))[:NEAREST]
            best = best[values[best] > 0]
            rows.append(np.full(len(best), first + place))
            columns.append(items[best])
            scores.append(values[best])
    shape = (given.shape[0], given.shape[0])
    return sp.csr_matrix((np.concatenate(scores), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
