"""Prices that are far from those of their category: of somebody who mistyped, or who baits."""

from __future__ import annotations

import math
from collections.abc import Mapping

from marketplace_core.values import Money

__all__ = ["LEAST", "is_outlier", "step_of"]

SCORE = 0.6
#: Of fewer prices nobody can say what is usual.
LEAST = 20
_FACTOR = 1.2
#: What is within eight times, or an eighth, of the middle is no outlier, however alike the others are.
_NEAR = math.log(8) / math.log(_FACTOR)


def step_of(price: Money) -> int:
    """Prices of one step differ by less than a fifth."""
    return round(math.log(max(price.amount, 1)) / math.log(_FACTOR))


def is_outlier(step: int, counts: Mapping[int, int]) -> bool:
    """Against how many prices there are of each step."""
    total = sum(counts.values())
    if total < LEAST:
        return False
    middle, spread = _at(counts, total / 2), _at(counts, total * 3 / 4) - _at(counts, total / 4)
    return abs(step - middle) > max(3 * spread, _NEAR)


def _at(counts: Mapping[int, int], place: float) -> int:
    """The step of the price at a place of all in order."""
    seen = 0
    for step, count in sorted(counts.items()):
        seen += count
        if seen >= place:
            return step
    return max(counts)
