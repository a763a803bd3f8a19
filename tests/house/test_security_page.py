"""docs/explanation/security.md names tests that there are, counts its lines, and says of what is open what closes it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text()
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
_PATH = re.compile(r"`((?:tests|plugins|src|docs)/[\w/.]+)`")
_ROW = re.compile(r"^\| ([\d., ]+) \| (met|edge|n/a|open) \| (.+) \|$", re.MULTILINE)

#: Levels 1 and 2 of chapters 1 to 9 and 11 to 16.
LINES = 217


def test_the_tests_that_are_named_are_there() -> None:
    named = _TEST.findall(PAGE)
    assert len(named) > 100
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []
    assert [path for path in _PATH.findall(PAGE) if not (ROOT / path).exists()] == []


def test_every_line_is_judged_once_and_counted() -> None:
    rows = [(line.strip(), state, text) for lines, state, text in _ROW.findall(PAGE) for line in lines.split(",")]
    assert len({line for line, _, _ in rows}) == len(rows) == LINES
    counts = Counter(state for _, state, _ in rows)
    told = re.search(
        r"Of (\d+) lines (\d+) are met.*?; (\d+) are the edge's.*?; (\d+) do not apply; (\d+) are open", PAGE, re.DOTALL
    )
    assert told is not None
    assert [int(each) for each in told.groups()] == [LINES, counts["met"], counts["edge"], counts["n/a"], counts["open"]]
    assert [line for line, state, text in rows if state == "met" and "`" not in text and "below" not in text] == []
