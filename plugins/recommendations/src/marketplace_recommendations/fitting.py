"""From what people did to the rows of the model: learnt, measured, and with what is cold put beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from marketplace_recommendations.content import content_rows
from marketplace_recommendations.domain import Neighbour
from marketplace_recommendations.model import CUTOFFS, Figures, Knobs, Learner, at_ten, flatten, measure, tuned
from marketplace_recommendations.store import Features, Kept, Trail
from marketplace_recommendations.training import Cutoff, Fitted

__all__ = ["Outcome", "fitted", "repeated", "trained_and_measured"]

#: So many people are enough to tune with; fewer than :data:`FEWEST` tell nothing.
TUNING, FEWEST = 5000, 50
#: Of one person so many of the last actions.
LONGEST = 200
#: How much of those who have an item must have it again for it to be a thing that one buys again.
AGAIN = 0.2
#: As many people who had it once, as all others did, are put to each item before that is asked.
PRIOR = 5.0

Bools = NDArray[np.bool_]


class Outcome(NamedTuple):
    """``knobs`` were found on second-last items, ``figures`` on the last ones."""

    knobs: Knobs
    figures: Figures
    people: int


def repeated(sequences: Sequence[Sequence[int]], count: int) -> Bools:
    """The items that people have again."""
    having, again = np.zeros(count), np.zeros(count)
    for sequence in sequences:
        items, times = np.unique(np.asarray(sequence, dtype=np.int64), return_counts=True)
        having[items] += 1
        again[items] += times > 1
    usual = again.sum() / max(1.0, having.sum())
    share: Bools = (again + PRIOR * usual) / (having + PRIOR) >= AGAIN
    return share & (again > 0)


def trained_and_measured(
    sequences: Sequence[Sequence[int]],
    count: int,
    *,
    factors: int,
    seed: int,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Outcome:
    """Tune on the second-last item of each, learnt from what is before it; measure the last one, learnt from all before it."""
    knobs = Knobs()
    long = [each for each in sequences if len(each) >= 3]
    if len(long) >= FEWEST:
        before = [each[:-2] for each in long]
        learner = Learner(flatten(before), count, factors=factors, seed=seed)
        chosen = np.random.default_rng(seed).permutation(len(long))[:TUNING]
        wanted = np.array([long[person][-2] for person in chosen], dtype=np.int64)
        knobs = tuned(learner, chosen, wanted, repeated(before, count), report)
        del learner
    enough = [each for each in sequences if len(each) >= 2]
    before = [each[:-1] for each in enough]
    learner = Learner(flatten(before), count, factors=factors, seed=seed)
    people, wanted = np.arange(len(enough)), np.array([each[-1] for each in enough], dtype=np.int64)
    figures = measure(learner, learner.matrix(knobs), knobs.recency, people, wanted, repeated(before, count), shown=True)
    return Outcome(knobs, figures, len(enough))


def fitted(trails: Sequence[Trail], features: Sequence[Features], *, factors: int, neighbours: int, seed: int) -> Fitted:
    ids = sorted({each.id for each in features} | {product for trail in trails for product in trail.products})
    numbers = {id_: number for number, id_ in enumerate(ids)}
    sequences = [[numbers[product] for product in trail.products[-LONGEST:]] for trail in trails]
    bought = [
        [numbers[product] for product, paid in zip(trail.products, trail.bought, strict=True) if paid][-LONGEST:]
        for trail in trails
    ]
    actions = [_without_stutter(each) for each in sequences]
    if not ids:
        return Fitted([], 0.0, 0.0, 0.0, [], {})
    outcome = trained_and_measured(actions, len(ids), factors=factors, seed=seed)
    learner = Learner(flatten(actions), len(ids), factors=factors, seed=seed)
    matrix = learner.matrix(outcome.knobs) + content_rows(features, numbers, learner.counts)
    rows = _rows(ids, matrix.tocsr(), _together(bought, len(ids)), repeated(bought, len(ids)), neighbours)
    measured = at_ten(outcome.figures.ranks)
    curve = curve_of(outcome.figures, len(ids))
    coverage = next((each.coverage for each in curve if each.k == 10), 0.0)
    return Fitted(rows, measured.hit_rate, measured.ndcg, coverage, curve, dict(outcome.knobs._asdict()))


def curve_of(figures: Figures, count: int) -> list[Cutoff]:
    ranks = figures.ranks
    return [Cutoff(k, float((ranks < k).mean()) if len(ranks) else 0.0, figures.shown[k] / max(1, count)) for k in CUTOFFS]


def _without_stutter(sequence: Sequence[int]) -> list[int]:
    """Somebody who looks, puts it into the cart and buys it has acted on one thing."""
    return [item for place, item in enumerate(sequence) if place == 0 or item != sequence[place - 1]]


def _together(bought: Sequence[Sequence[int]], count: int) -> Any:
    """Which items somebody bought both of."""
    flat = flatten(bought)
    ones = np.ones(len(flat.items), dtype=np.float32)
    had = sp.csr_matrix((ones, (flat.people, flat.items)), shape=(len(flat.lengths), count))
    return (had.T @ had).tocsr()


def _rows(ids: Sequence[str], matrix: Any, together: Any, again: Bools, neighbours: int) -> list[Kept]:
    rows = []
    for number, id_ in enumerate(ids):
        scores = matrix.data[matrix.indptr[number] : matrix.indptr[number + 1]]
        items = matrix.indices[matrix.indptr[number] : matrix.indptr[number + 1]]
        best = np.lexsort((items, -scores))[:neighbours]
        both = set(together.indices[together.indptr[number] : together.indptr[number + 1]].tolist())
        found = [
            Neighbour(ids[item], round(float(score), 6), item in both)
            for item, score in zip(items[best].tolist(), scores[best].tolist(), strict=True)
            if score > 0 and (item != number or again[number])
        ]
        if found or again[number]:
            rows.append(Kept(id_, found, bool(again[number])))
    return rows
