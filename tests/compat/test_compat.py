"""What each release recorded, read by the code of today, and what today's code writes, as that release would read it."""

from __future__ import annotations

import asyncio
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from marketplace_core._plugins.registry import installed_plugins
from marketplace_core.testing.compat.histories import History, replay
from tests.compat.decisions import RECORDED, changed_structs, undecided
from tests.compat.runs import sagas

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HISTORIES = sorted(HERE.glob("*/histories/*.json"))


def released() -> list[str]:
    """The latest first."""
    return re.findall(r"^## (\d+\.\d+\.\d+) ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_last_release_is_recorded() -> None:
    for file in ("schemas.json", "samples.jsonl", "openapi/buyer.json", "histories/checkout_done.json"):
        path = HERE / released()[0] / file
        assert path.exists(), f"{path.relative_to(ROOT)} is missing: record the release by scripts/record_compat.py"


def test_the_version_is_that_of_the_last_release_or_a_later_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    numbers = [tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (version, released()[0])]
    assert numbers[0] >= numbers[1], "give pyproject.toml the version of the release"


@pytest.mark.behaviour("events-4")
@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_the_release_and_this_code_read_each_other(folder: Path) -> None:
    found = undecided(changed_structs(folder), folder)
    assert not found, "\n".join(found)


def test_a_released_row_keeps_its_meaning() -> None:
    """Release 0.1.0 took the plugin's name in inbox, parking and claims from its package: it is the one that is declared."""
    found = {name: entry.module.split(".")[0] for name, entry in installed_plugins().items()}
    ours = {name: package for name, package in found.items() if package.startswith("marketplace_")}
    assert {"auth", "cart", "catalog", "logistics", "orders", "payments", "sellers", "users"} <= ours.keys()
    assert {name: package.removeprefix("marketplace_") for name, package in ours.items()} == {name: name for name in ours}


@pytest.mark.behaviour("orchestrator-2")
@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_history_is_replayed(path: Path) -> None:
    wrong = asyncio.run(replay(msgspec.json.decode(path.read_bytes(), type=History), sagas()))
    assert wrong is None, wrong


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_the_histories_show_every_way_a_checkout_goes(folder: Path) -> None:
    """Of what was recorded; so that none is recorded that says nothing."""
    found = [msgspec.json.decode(path.read_bytes(), type=History) for path in (folder / "histories").iterdir()]
    ends = {history.end.failure.code if history.end.failure else history.end.status for history in found}
    assert ends >= {"done", "payments.declined", "payments.action_expired", "orders.cancelled_by_operator"}
    assert {entry.ask for history in found for entry in history.entries} >= {"perform", "receive", "park"}
