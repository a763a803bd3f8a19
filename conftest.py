"""For all tests: those that share a deployment come one after the other, and none costs more CPU than a test may.

What they write stands in memory where there is room: servers make and drop hundreds of databases of 300 files each, and the
disk took longer over that than the tests did.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from marketplace_core.testing import _costs as costs

_BEGAN = pytest.StashKey[float]()
_SINCE = pytest.StashKey[float]()
_IS_LAST = pytest.StashKey[bool]()


_MEMORY, _ROOM = Path("/dev/shm"), 8 << 30  # noqa: S108


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and min(psutil.disk_usage(str(folder)).free, psutil.virtual_memory().available) > _ROOM


if "TMPDIR" not in os.environ and _has_room(_MEMORY):
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # somebody may have asked before


# ── what a test costs ────────────────────────────────────────────────────────────────────────────────────────


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", metavar="FILE", help="a line for each test is added there: seconds of CPU, seconds, its name")
    parser.addini("cpu_seconds", "what a test may cost, its fixtures and all processes that it started included", default="20")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    item.stash[_BEGAN] = costs.of_one()
    item.stash[_SINCE] = time.monotonic()
    item.stash[_IS_LAST] = nextitem is None
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: object) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "teardown" and (file := item.config.getoption("--costs")):
        spent, lasted = costs.of_one() - item.stash[_BEGAN], time.monotonic() - item.stash[_SINCE]
        with Path(file).open("a") as lines:
            lines.write(f"{spent:8.2f} {lasted:8.2f} {item.nodeid}\n")
    most = float(item.config.getini("cpu_seconds"))
    # The last one's fixtures are all that stands: what ends with the session is not its own cost, so it is judged without.
    when = "call" if item.stash[_IS_LAST] else "teardown"
    if report.when == when and report.passed and item.get_closest_marker("costly") is None:
        spent = costs.of_one() - item.stash[_BEGAN]
        if spent > most:
            report.outcome = "failed"
            report.longrepr = (
                f"{item.nodeid} took {spent:.1f} s of CPU, and a test may take {most:g}: let it share what it starts "
                '(CONTRIBUTING.md), or say by @pytest.mark.costly("…") why it cannot'
            )
    return report


# ── what they share ──────────────────────────────────────────────────────────────────────────────────────────


def group(item: pytest.Item | None) -> str:
    """Of those that share what one of pytest's processes has started."""
    mark = item.get_closest_marker("xdist_group") if item is not None else None
    return str(mark.args[0]) if mark is not None else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups come first, each in one piece: they take longest."""
    items.sort(key=lambda item: (group(item) == "", group(item)))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What stands for a group is not left to run beside all others."""
    if group(item) and group(item) != group(nextitem):
        from marketplace_core.testing._standing import stop_standing  # noqa: PLC0415
        from marketplace_core.testing.native import stop_native  # noqa: PLC0415

        stop_standing()
        stop_native()
