"""Whole deployments while their processes are killed and stopped, and their servers are slow, silent or torn away.

MARKETPLACE_FAULTS=full: 300 checkouts, processes stopped for 10 s, connections disturbed for as long;
MARKETPLACE_SEEDS (``1..10`` or ``3,5``) or MARKETPLACE_SEED say which runs. See docs/explanation/faults.md.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.faults.fire import injector, proxy
from tests.faults.fire.run import Report, under_fire
from tests.faults.fire.table import run_of

FULL = os.environ.get("MARKETPLACE_FAULTS") == "full"
CHECKOUTS = int(os.environ.get("MARKETPLACE_CHECKOUTS", "300" if FULL else "60"))
SECONDS = 10.0 if FULL else 2.0
PASSED = "passed"


def _seeds(text: str) -> list[int]:
    first, dots, last = text.partition("..")
    return list(range(int(first), int(last) + 1)) if dots else [int(seed) for seed in text.split(",")]


SEEDS = _seeds(os.environ.get("MARKETPLACE_SEEDS") or os.environ.get("MARKETPLACE_SEED") or "1")

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("under fire"),
    pytest.mark.parametrize("seed", SEEDS),
    pytest.mark.costly("whole deployments under load while their processes are killed"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, which PostgreSQL's user may pass. Its logs stay for whoever looks why a test failed."""
    made = Path(tempfile.mkdtemp(prefix="mp-"))
    made.chmod(0o711)
    yield made
    if (made / PASSED).exists():
        shutil.rmtree(made, ignore_errors=True)
    else:
        print(f"see {made}/data/logs")


def check(report: Report, folder: Path, record_property: Callable[[str, object], None], checkouts: int = CHECKOUTS) -> None:
    run = run_of(report)
    record_property("fire", msgspec.json.encode(run).decode())
    assert run.broken == []
    assert (run.lost, run.repeated, run.charged_twice) == (0, 0, 0)
    assert report.left_running == []
    assert run.accepted >= checkouts * 0.8  # else it proves little
    (folder / PASSED).touch()


@pytest.mark.parametrize("deployment", ["embedded", "split"])
async def test_nothing_is_lost_or_done_twice(
    deployment: str, seed: int, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    report = await under_fire(deployment, folder, seed=seed, checkouts=CHECKOUTS, kinds=injector.KINDS, stopped_seconds=SECONDS)
    check(report, folder, record_property)


async def test_nor_where_connections_are_slow_silent_or_torn(
    seed: int, folder: Path, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = proxy.program()
    if program is None:
        pytest.skip("toxiproxy-server is not on the PATH, and Go is neither or could not build it")
    async with proxy.behind_proxies(program, random.Random(seed)) as behind:
        for name, value in behind.direct.items():
            monkeypatch.setenv(name, value)
        report = await under_fire(
            "small",
            folder,
            seed=seed,
            checkouts=CHECKOUTS,
            kinds=proxy.KINDS,
            stopped_seconds=SECONDS,
            env=behind.env,
            more=behind.strike,
        )
        check(report, folder, record_property)
