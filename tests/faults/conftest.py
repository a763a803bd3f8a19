"""Shows what the runs under fire were: a table at the end, and JSON in the file that MARKETPLACE_FAULTS_JSON names."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests.faults.fire.table import Run, table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The runs come with the reports of their tests, from whichever process ran them."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    found = [value for report in reports if report.when == "call" for name, value in report.user_properties if name == "fire"]
    runs = [msgspec.json.decode(str(value), type=Run) for value in found]
    if not runs:
        return
    terminalreporter.write_sep("=", "under fire")
    console = Console(width=120, no_color=True)
    with console.capture() as captured:
        console.print(table(runs))
        for run in runs:
            console.print(
                f"{run.deployment}, seed {run.seed}: {run.checkouts} checkouts, {run.accepted} accepted, "
                f"{run.requests} requests, {run.failed} failed, {run.seconds:g} s"
            )
    terminalreporter.write(captured.get())
    if name := os.environ.get("MARKETPLACE_FAULTS_JSON"):
        Path(name).write_bytes(msgspec.json.format(msgspec.json.encode(runs)))
