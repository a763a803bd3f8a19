"""Training in a worker: what is written down goes to a process of its own, and what it finds is what is read from then on.

:mod:`marketplace_recommendations.model` and the libraries that it computes with are imported there only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from marketplace_core.ports import Pool, UnitOfWork, Units
from marketplace_core.values import Clock
from marketplace_recommendations.config import RecommendationsConfig
from marketplace_recommendations.store import Features, Kept, RecommendationsStore, Trail

__all__ = ["Cutoff", "Fitted", "Trained", "Trainer"]

READ = 5000
WRITE = 500
SEED = 1


class Cutoff(Struct, frozen=True):
    """At so many places: how many people's last item was among them, and how many of all items were shown to anybody."""

    k: int
    hit_rate: float
    coverage: float


class Fitted(Struct, frozen=True):
    """What a training gives: rows of the model, how good it was on the last item of each person, and with which settings."""

    rows: list[Kept]
    hit_rate: float
    ndcg: float
    coverage: float
    curve: list[Cutoff]
    knobs: dict[str, float]


class Trained(Struct, frozen=True):
    """``hit_rate`` and ``ndcg`` at 10, and ``coverage``, are of the last item of each person, which was not learnt from."""

    people: int
    products: int
    hit_rate: float
    ndcg: float
    coverage: float
    curve: list[Cutoff]
    knobs: dict[str, float]
    seconds: float


class Trainer:
    def __init__(self, store: RecommendationsStore, pool: Pool, clock: Clock, config: RecommendationsConfig) -> None:
        self._store, self._pool, self._clock, self._config = store, pool, clock, config

    async def train(self, units: Units, report: Callable[[str, int, int], None]) -> Trained:
        began = time.monotonic()
        trails: list[Trail] = []
        while more := await self._store.trails(trails[-1].person if trails else "", READ):
            trails += more
            report("signals", len(trails), len(trails) + READ)
        report("signals", len(trails), len(trails))
        features: list[Features] = []
        while some := await self._store.features(features[-1].id if features else "", READ):
            features += some
        report("model", 0, 1)
        fitted: Fitted = await self._pool.run(fit, trails, features, self._config.factors, self._config.neighbours, SEED)
        report("model", 1, 1)
        await self._write(units, fitted, report)
        return Trained(
            len(trails),
            len(fitted.rows),
            fitted.hit_rate,
            fitted.ndcg,
            fitted.coverage,
            fitted.curve,
            fitted.knobs,
            round(time.monotonic() - began, 3),
        )

    async def _write(self, units: Units, fitted: Fitted, report: Callable[[str, int, int], None]) -> None:
        """In batches, beside what is read; then that is read. A generation is named by when it was made."""
        generation = time.time_ns()
        for number, rows in enumerate(_parts(fitted.rows, WRITE)):

            async def add(uow: UnitOfWork, rows: Sequence[Kept] = rows) -> None:
                await self._store.add_neighbours(uow, generation, rows)

            await units.run(add)
            report("write", min((number + 1) * WRITE, len(fitted.rows)), len(fitted.rows))
        figures = {"hr@10": fitted.hit_rate, "ndcg@10": fitted.ndcg, "coverage": fitted.coverage, "knobs": fitted.knobs}
        await units.run(lambda uow: self._store.publish_model(uow, generation, figures))


def _parts(rows: Sequence[Kept], size: int) -> list[Sequence[Kept]]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def fit(trails: Sequence[Trail], features: Sequence[Features], factors: int, neighbours: int, seed: int) -> Fitted:
    """What the pool's process runs."""
    from marketplace_recommendations.fitting import fitted  # noqa: PLC0415 - numpy, scipy and implicit come with it

    return fitted(trails, features, factors=factors, neighbours=neighbours, seed=seed)
