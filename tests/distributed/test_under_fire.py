"""All of ``examples/distributed.toml`` while everything in it is killed and stopped, and while each process is replaced.

As tests/faults/test_under_fire.py, whose variables it obeys: MARKETPLACE_FAULTS=full strikes every process by its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults.fire.deployment import Standing
from tests.faults.fire.people import Shopping
from tests.faults.fire.run import Report, under_fire
from tests.faults.test_under_fire import FULL, SECONDS, SEEDS, check, folder

__all__ = ["folder"]

CHECKOUTS = int(os.environ.get("MARKETPLACE_CHECKOUTS", "300" if FULL else "40"))
ALL = Shopping("https://www.shop.example/paid", reviews=True, market=True)

pytestmark = [
    pytest.mark.timeout(7200),
    pytest.mark.xdist_group("distributed"),
    pytest.mark.parametrize("seed", SEEDS),
    pytest.mark.costly("fifty processes and their servers, while each of them is killed"),
]


def _servers(standing: Standing) -> list[str]:
    return [process.name for process in standing.processes("server")]


def _some(standing: Standing) -> list[str]:
    """Each server; of the kinds of our processes, one."""
    whom = [*_servers(standing), "api", "worker", "simulator", "edge"]
    return [f"{act} {name}" for act in ("kill", "stop") for name in whom]


def _each(standing: Standing) -> list[str]:
    """Every process, by its name."""
    whom = [process.name for process in standing.processes("api", "worker", "simulator", "edge", "server")]
    return [f"{act} {name}" for act in ("kill", "stop") for name in whom]


def _replaced(standing: Standing) -> list[str]:
    return [f"restart {process.name}" for process in standing.processes("api", "worker")]


async def _run(
    folder: Path,
    seed: int,
    kinds: Callable[[Standing], Sequence[str]],
    record_property: Callable[[str, object], None],
    turn: bool,
) -> Report:
    report = await under_fire(
        "distributed", folder, seed=seed, checkouts=CHECKOUTS, kinds=kinds, stopped_seconds=SECONDS, in_turn=turn, shopping=ALL
    )
    check(report, folder, record_property, CHECKOUTS)
    return report


async def test_nothing_is_lost_or_done_twice_at_random(
    seed: int, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    await _run(folder, seed, _some, record_property, turn=False)


@pytest.mark.skipif(not FULL, reason="a hundred faults one after the other: MARKETPLACE_FAULTS=full")
async def test_nor_where_each_process_is_struck_in_turn(
    seed: int, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    await _run(folder, seed, _each, record_property, turn=True)


async def test_nobody_notices_that_every_process_is_replaced_in_turn(
    seed: int, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """No 5xx and no connection torn of what may be repeated, at the clients' side of nginx."""
    report = await _run(folder, seed, _replaced, record_property, turn=True)
    assert report.tally.failed_reads == []
