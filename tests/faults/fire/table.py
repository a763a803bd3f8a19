"""What the runs were, as rows: per deployment and fault, and whether anything was lost or done twice."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from msgspec import Struct
from rich.table import Table

from tests.faults.fire.run import Report

__all__ = ["Run", "run_of", "table"]


class Strike(Struct, frozen=True):
    """``failed`` requests until the next fault; seconds until a checkout begun after it was confirmed (``recovered``).

    ``alone``: no other fault was to be got over at that time.
    """

    kind: str
    victim: str
    failed: int
    recovered: float
    alone: bool = False


class Run(Struct, frozen=True):
    """One run as JSON. ``lost``, ``repeated`` and ``charged_twice`` are orders and events; ``broken`` are invariants."""

    deployment: str
    seed: int
    checkouts: int
    accepted: int
    requests: int
    failed: int
    seconds: float
    strikes: list[Strike]
    lost: int
    repeated: int
    charged_twice: int
    checked: dict[str, int]
    broken: list[str]


def run_of(report: Report) -> Run:
    truth = report.truth
    return Run(
        report.deployment,
        report.seed,
        len(report.purchases),
        sum(purchase.order is not None for purchase in report.purchases),
        report.tally.sent,
        len(report.tally.failed),
        round(report.seconds, 1),
        [Strike(f.kind, f.victim, report.failed(f), round(report.recovered(f), 1), report.alone(f)) for f in report.faults],
        len(truth.lost),
        len(truth.repeated),
        len(truth.charged_twice),
        dict(truth.checked),
        truth.broken,
    )


def table(runs: Sequence[Run]) -> Table:
    """A row for each deployment and fault; what was lost in a run counts for each fault that it had."""
    shown = Table(
        *("deployment", "fault", "times", "requests failed", "longest to recover", "… alone"),
        *("lost", "repeated", "charged twice"),
    )
    for column in shown.columns[2:]:
        column.justify = "right"
    for deployment in dict.fromkeys(run.deployment for run in runs):
        ours = [run for run in runs if run.deployment == deployment]
        shown.add_section()
        for kind in sorted({strike.kind for run in ours for strike in run.strikes}):
            with_it = [run for run in ours if any(strike.kind == kind for strike in run.strikes)]
            strikes = [strike for run in with_it for strike in run.strikes if strike.kind == kind]
            shown.add_row(
                deployment,
                kind,
                str(len(strikes)),
                str(sum(strike.failed for strike in strikes)),
                f"{max(strike.recovered for strike in strikes):.1f} s",
                f"{max((strike.recovered for strike in strikes if strike.alone), default=nan):.1f} s",
                *(str(sum(getattr(run, name) for run in with_it)) for name in ("lost", "repeated", "charged_twice")),
            )
    return shown
