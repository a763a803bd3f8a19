"""The model: from items in the order of people's actions to one matrix of what follows, or goes with, what.

A person's scores are the sum of the rows of the last actions, each counting less than the one after it. So the last action
counts at once, without any training, and what is measured here is what is shown (``domain.ranked``).

Two parts are blended. *Transitions*: how often an item comes after another, sooner counting more, with shrinkage, so that few
observations say little. *Factors*: items that are near each other in a factor model of who acted on what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

__all__ = ["Figures", "Flat", "Knobs", "Learner", "Measured", "flatten", "measure", "tuned"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Matrix = Any  # scipy's sparse matrices bring no types

#: Items of a person that are further apart than this say nothing of each other.
REACH = 12
#: A place nearer to the end of a sequence counts so much more for how late an item is; and so many places that are as late as
#: all others are added to those of each item.
FADING, FEW = 0.7, 2.0
#: Cells of scores that are in memory at once.
CELLS = 8_000_000
CUTOFFS = (1, 2, 5, 10, 20, 50)


class Knobs(NamedTuple):
    """What is tuned. ``gap``: what a step further apart leaves of a pair; ``back``: what the reverse order counts; ``length``:
    to which power a person's length divides; ``source``, ``target``: to which powers the counts of both items do, ``shrink``
    being added to them first; ``recency``: what an action counts of the one after it; ``trend``: to which power it counts how
    late in their sequences people come to an item, as what is new they come to last; ``factors``: the factor model's part."""

    gap: float = 0.85
    back: float = 0.3
    length: float = 0.15
    source: float = 0.5
    target: float = 0.3
    shrink: float = 20.0
    recency: float = 0.6
    trend: float = 0.5
    factors: float = 0.0


#: In this order, each with the others as they are by then.
GRID: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("trend", (0.0, 0.25, 0.5, 0.75, 1.0)),
    ("recency", (0.4, 0.5, 0.6, 0.7, 0.85)),
    ("target", (0.1, 0.3, 0.5)),
    ("back", (0.1, 0.3, 0.6, 1.0)),
    ("gap", (0.5, 0.7, 0.85, 0.95)),
    ("length", (0.0, 0.15, 0.3, 0.5)),
    ("source", (0.3, 0.5, 0.7, 1.0)),
    ("shrink", (5.0, 20.0, 60.0)),
    ("factors", (0.0, 0.1, 0.2, 0.4)),
)
"""What :func:`tuned` tries."""


class Flat(NamedTuple):
    """Sequences in a row: of each action its person and its item, both counted from 0; of each person where it begins."""

    people: Ints
    items: Ints
    starts: Ints
    lengths: Ints


def flatten(sequences: Sequence[Sequence[int]]) -> Flat:
    lengths = np.array([len(each) for each in sequences], dtype=np.int64)
    items = np.fromiter((item for each in sequences for item in each), dtype=np.int64, count=int(lengths.sum()))
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    return Flat(np.repeat(np.arange(len(lengths)), lengths), items, starts, lengths)


class Learner:
    """What can be learnt from ``flat``, by any knobs. The factors are computed once."""

    def __init__(self, flat: Flat, count: int, *, factors: int, seed: int) -> None:
        """``count``: items; ``factors``: of the factor model, 0 for none."""
        self.flat, self.count = flat, count
        self.counts = np.bincount(flat.items, minlength=count).astype(np.float32)
        self._late = self._lateness()
        self._pairs = [self._apart(steps) for steps in range(1, REACH)]
        self._factors = _factor_rows(flat, count, factors, seed) if factors else None

    def _lateness(self) -> Floats:
        """Of each item how near the ends of sequences it stands, from 0 to 1; of one that is hardly known, as all others."""
        flat = self.flat
        left = flat.lengths[flat.people] - 1 - (np.arange(len(flat.items)) - flat.starts[flat.people])
        near = np.bincount(flat.items, weights=FADING**left, minlength=self.count)
        usual = near.sum() / max(1.0, float(self.counts.sum()))
        late: Floats = ((near + FEW * usual) / (self.counts + FEW)).astype(np.float32)
        return late

    def _apart(self, steps: int) -> tuple[Ints, Ints, Floats]:
        people, items = self.flat.people, self.flat.items
        first = np.nonzero(people[:-steps] == people[steps:])[0] if len(people) > steps else np.zeros(0, dtype=np.int64)
        return items[first], items[first + steps], self.flat.lengths[people[first]].astype(np.float32)

    def matrix(self, knobs: Knobs) -> Matrix:
        """What follows from each item (row): the score of every other."""
        rows, columns, weights = [], [], []
        for steps, (before, after, lengths) in enumerate(self._pairs):
            weight = (knobs.gap**steps) * lengths**-knobs.length
            rows += [before, after]
            columns += [after, before]
            weights += [weight, weight * knobs.back]
        shape = (self.count, self.count)
        index = (np.concatenate(rows), np.concatenate(columns))
        seen = sp.coo_matrix((np.concatenate(weights).astype(np.float32), index), shape=shape).tocsr()
        counts = self.counts + np.float32(knobs.shrink)
        into = counts**-knobs.target * self._late**knobs.trend
        scaled = sp.diags(counts**-knobs.source) @ seen @ sp.diags(into)
        found = _scaled(scaled.tocsr().astype(np.float32))
        if self._factors is not None and knobs.factors:
            found = (found + self._factors * np.float32(knobs.factors)).tocsr()
        return found


def _scaled(matrix: Matrix) -> Matrix:
    """So that the best of a typical row is 1."""
    best = matrix.max(axis=1).toarray().ravel()
    typical = float(np.median(best[best > 0])) if (best > 0).any() else 1.0
    return matrix / np.float32(typical)


def _factor_rows(flat: Flat, count: int, factors: int, seed: int, nearest: int = 200) -> Matrix:
    """Of each item the ``nearest`` by the inner product of the factors of implicit's ALS."""
    from implicit.als import AlternatingLeastSquares  # noqa: PLC0415 - it looks at its threads when it is imported

    with threadpool_limits(1, "blas"):  # implicit has threads of its own
        actions = np.ones(len(flat.items), dtype=np.float32)
        seen = sp.csr_matrix((actions, (flat.people, flat.items)), shape=(len(flat.lengths), count))
        seen.data[:] = 1.0
        rank = max(1, min(factors, count - 1, len(flat.lengths)))
        model = AlternatingLeastSquares(factors=rank, regularization=1.0, alpha=2.0, iterations=10, random_state=seed)
        model.fit(seen, show_progress=False)
        known = np.asarray(model.item_factors, dtype=np.float32)
    rows, columns, scores = [], [], []
    width = min(nearest, count)
    for first in range(0, count, max(1, CELLS // count)):
        block = known[first : first + max(1, CELLS // count)] @ known.T
        best = np.argpartition(block, -width, axis=1)[:, -width:]
        rows.append(np.repeat(np.arange(first, first + len(block)), width))
        columns.append(best.ravel())
        scores.append(np.take_along_axis(block, best, axis=1).ravel())
    index = (np.concatenate(rows), np.concatenate(columns))
    found = sp.csr_matrix((np.concatenate(scores), index), shape=(count, count))
    found.data[found.data < 0] = 0
    found.setdiag(0)
    found.eliminate_zeros()
    return _scaled(found)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────


class Figures(NamedTuple):
    """``ranks`` of the items looked for, from 0, each tie counted against us; ``shown``: per cut-off how many items anybody
    was shown."""

    ranks: Ints
    shown: dict[int, int]


class Measured(NamedTuple):
    hit_rate: float
    ndcg: float


def at_ten(ranks: Ints) -> Measured:
    if not len(ranks):
        return Measured(0.0, 0.0)
    hit = ranks < 10
    return Measured(float(hit.mean()), float((hit / np.log2(ranks + 2.0)).mean()))


def measure(
    learner: Learner,
    matrix: Matrix,
    recency: float,
    people: Ints,
    targets: Ints,
    again: NDArray[np.bool_],
    *,
    shown: bool = False,
) -> Figures:
    """Rank the ``targets`` of these ``people`` among all items but those that they had, unless people have them ``again``.

    An item of which nothing is known for a person comes after all others, the more popular first.
    """
    flat = learner.flat
    places = flat.lengths[flat.people] - 1 - (np.arange(len(flat.items)) - flat.starts[flat.people])
    weights = (recency**places).astype(np.float32)
    history = sp.csr_matrix((weights, (flat.people, flat.items)), shape=(len(flat.lengths), learner.count))
    least = learner.counts / (learner.counts.max() + 1) * 1e-9
    size = max(1, CELLS // learner.count)
    ranks, seen = [], {k: np.zeros(learner.count, dtype=bool) for k in CUTOFFS}
    for first in range(0, len(people), size):
        some, wanted = people[first : first + size], targets[first : first + size]
        block = history[some]
        scores = (block @ matrix).toarray() + least
        row, item = block.nonzero()
        had = ~again[item] & (item != wanted[row])
        scores[row[had], item[had]] = -np.inf
        own = np.take_along_axis(scores, wanted[:, None], axis=1)
        ranks.append((scores >= own).sum(axis=1) - 1)
        if shown:
            _note_shown(scores, seen)
    found = np.concatenate(ranks) if ranks else np.zeros(0, dtype=np.int64)
    return Figures(found, {k: int(items.sum()) for k, items in seen.items()})


def _note_shown(scores: NDArray[Any], seen: dict[int, NDArray[np.bool_]]) -> None:
    width = min(max(CUTOFFS), scores.shape[1])
    best = np.argpartition(scores, -width, axis=1)[:, -width:]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    best = np.take_along_axis(best, order, axis=1)
    for k, items in seen.items():
        items[best[:, :k].ravel()] = True


def tuned(
    learner: Learner,
    people: Ints,
    targets: Ints,
    again: NDArray[np.bool_],
    report: Callable[[int, int], None] = lambda *_: None,
) -> Knobs:
    """The knobs by which the ``targets`` rank best, one after the other. These are second-last items: the last ones are for
    measuring only."""
    best, most, done = Knobs(), -1.0, 0
    tries = sum(len(values) for _, values in GRID)
    for name, values in GRID:
        for value in values:
            knobs = best._replace(**{name: value})
            if most < 0 or knobs != best:
                ranks = measure(learner, learner.matrix(knobs), knobs.recency, people, targets, again).ranks
                score = at_ten(ranks).ndcg
                if score > most:
                    best, most = knobs, score
            done += 1
            report(done, tries)
    return best
