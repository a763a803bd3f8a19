"""A plot of how good a model is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from marketplace_recommendations.training import Cutoff

__all__ = ["draw"]


def draw(curve: Sequence[Cutoff], target: Path) -> None:
    """Hit rate and coverage by cut-off, as a PNG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    places = [each.k for each in curve]
    axes.plot(places, [each.hit_rate for each in curve], marker="o", label="hit rate")
    axes.plot(places, [each.coverage for each in curve], marker="s", label="coverage")
    axes.set_xlabel("cut-off")
    axes.set_ylabel("share")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(target, format="png", dpi=120)
