"""The page that a newcomer reads first says where everything is, and no file is too long to be read in one sitting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "marketplace_core"
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
MOST_LINES = 400


def test_the_page_names_every_part_of_core_and_no_other() -> None:
    text = PAGE.read_text()
    rows = set(re.findall(r"^\| `([\w.]+)/?` \|", text, re.M))
    folders = {path.name for path in CORE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert rows == folders | {"outbox.py"}
    modules = {path.stem for path in CORE.glob("[a-z]*.py")} - {"outbox"}
    listed = re.search(r"one at a time: (.*?)\.\n", text, re.S)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == modules


def test_no_private_module_stands_beside_the_folders() -> None:
    assert [path.name for path in CORE.glob("_*.py") if path.name != "__init__.py"] == []


def test_adapters_of_servers_have_the_same_file_names() -> None:
    """So that who knows one finds his way in another."""
    common = "kind opening server truth units outbox parking schedules lease migrate schema owners native embedded"
    roles = "notices listening bus consumer partitions reads rates clock blobs feeds queue worker webhooks_in webhooks_out"
    for folder in ("postgres", "redis", "arq", "folder"):
        names = {path.stem for path in (CORE / "adapters" / folder).glob("*.py")}
        others = names - {"__init__", *common.split(), *roles.split()}
        assert not others, f"adapters/{folder}: {sorted(others)}"


@pytest.mark.parametrize("place", ["src", "plugins", "examples", "tests", "scripts"])
def test_no_module_is_longer_than_a_sitting(place: str) -> None:
    counted = {path.relative_to(ROOT).as_posix(): path.read_text().count("\n") for path in (ROOT / place).rglob("*.py")}
    assert {path: lines for path, lines in counted.items() if lines > MOST_LINES} == {}
