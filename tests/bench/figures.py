"""Figures: what is measured in turn with its floor, the goal, and how it is shown."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from rich.table import Table

if TYPE_CHECKING:
    from market import Market

__all__ = ["FIGURES", "Bench", "Line", "figure", "pairs", "table"]


class Line(Struct, kw_only=True):
    """One line of the table. ``ours`` and ``floor`` have a value per run; the goal is for the ratio where there is a floor.

    ``at_least``, ``at_most``: what is to be reached, None where the line only stands beside others.
    """

    name: str
    unit: str
    ours: list[float]
    floor: list[float] = []
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Pair by pair, in the order in which they ran."""
        return [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)] if self.floor else []

    @property
    def value(self) -> float:
        """What the goal is about."""
        return statistics.median(self.ratios or self.ours)

    @property
    def reached(self) -> bool | None:
        if self.at_least is None and self.at_most is None:
            return None
        low, high = self.at_least, self.at_most
        return (low is None or self.value >= low) and (high is None or self.value <= high)


class Bench:
    """What figures are given. ``seconds``: of a run; ``runs``: pairs of a figure."""

    def __init__(self, market: Market, *, seconds: float, runs: int, quick: bool, say: Callable[[str], None]) -> None:
        self._market = market
        self.seconds = seconds
        self.runs = runs
        self.quick = quick
        self.say = say

    @property
    def folder(self) -> Path:
        """For files that live as long as the measurement."""
        return self._market.folder

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[Market]:
        """The marketplace, running; the next figure finds it so."""
        if not self._market.running:
            self.say("starting a marketplace")
            await self._market.start()
        yield self._market


Measure = Callable[[Bench], Awaitable[list[Line]]]
FIGURES: dict[str, Measure] = {}


def figure(name: str) -> Callable[[Measure], Measure]:
    """Make a function a figure that can be asked for by name; its docstring says what it measures."""

    def register(measure: Measure) -> Measure:
        FIGURES[name] = measure
        return measure

    return register


async def pairs(
    ours: Callable[[], Awaitable[float]], floor: Callable[[], Awaitable[float]], runs: int
) -> tuple[list[float], list[float]]:
    """A B A B …, so that what the machine does meanwhile falls on both."""
    left: list[float] = []
    right: list[float] = []
    for _ in range(runs):
        left.append(await ours())
        right.append(await floor())
    return left, right


def table(lines: Sequence[Line]) -> Table:
    shown = Table(title="median (min - max)", title_justify="left")
    shown.add_column("figure", overflow="fold")
    for column in ("ours", "floor", "ratio", "to reach", ""):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("note", overflow="fold")
    for line in lines:
        verdict = {None: "", True: "[green]reached", False: "[red]missed"}[line.reached]
        ratio = _spread(line.ratios, "")
        shown.add_row(
            line.name, _spread(line.ours, line.unit), _spread(line.floor, line.unit), ratio, _goal(line), verdict, line.note
        )
    return shown


def _goal(line: Line) -> str:
    low = [] if line.at_least is None else [f">= {line.at_least:g}"]
    return ", ".join(low + ([] if line.at_most is None else [f"<= {line.at_most:g}"]))


def _spread(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    middle = f"{_number(statistics.median(values))} {unit}".rstrip()
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} - {_number(max(values))})"


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def as_json(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "unit": line.unit,
        "ours": line.ours,
        "floor": line.floor,
        "ratios": line.ratios,
        "value": line.value,
        "at_least": line.at_least,
        "at_most": line.at_most,
        "reached": line.reached,
        "note": line.note,
    }
