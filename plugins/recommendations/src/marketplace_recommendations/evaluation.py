"""``marketplace recommendations evaluate``: the same model on a file of sequences, without any server."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from marketplace_recommendations.fitting import curve_of, trained_and_measured
from marketplace_recommendations.model import Knobs, at_ten
from marketplace_recommendations.training import Cutoff

__all__ = ["Evaluation", "NoSequences", "evaluate_file"]

FACTORS = 64


class NoSequences(ValueError):
    """The file has no person with two items: there is nothing to learn from and nothing to look for."""


class Evaluation(Struct, frozen=True):
    hit_rate: float
    ndcg: float
    curve: list[Cutoff]
    people: int
    items: int
    knobs: Knobs
    seconds: float
    memory: int

    def document(self) -> dict[str, Any]:
        """``coverage``: how many of all items are among the first ten of anybody; ``memory``: the most, in bytes."""
        return {
            "hr@10": round(self.hit_rate, 4),
            "ndcg@10": round(self.ndcg, 4),
            "coverage": round(next(each.coverage for each in self.curve if each.k == 10), 4),
            "people": self.people,
            "items": self.items,
            "settings": self.knobs._asdict(),
            "seconds": round(self.seconds, 1),
            "memory": self.memory,
        }


def evaluate_file(source: Path, seed: int, report: Callable[[int, int], None] = lambda *_: None) -> Evaluation:
    """``source``: one person a line, the person and then items in order, by white space.

    :raises NoSequences: see there. :raises OSError: it cannot be read.
    """
    began = time.monotonic()
    numbers: dict[str, int] = {}
    sequences = []
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            _, *items = line.split() or [""]
            sequences.append([numbers.setdefault(item, len(numbers)) for item in items])
    if not any(len(each) >= 2 for each in sequences):
        raise NoSequences("no line of it has a person and two items")
    outcome = trained_and_measured(sequences, len(numbers), factors=FACTORS, seed=seed, report=report)
    measured = at_ten(outcome.figures.ranks)
    return Evaluation(
        measured.hit_rate,
        measured.ndcg,
        curve_of(outcome.figures, len(numbers)),
        outcome.people,
        len(numbers),
        outcome.knobs,
        time.monotonic() - began,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
