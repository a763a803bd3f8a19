"""What is taken back from a release all the same, in its folder's `decided.txt`: lines that the tests name; see ADR 0048.

Run as a program it writes down what is told now: to be read before it is committed.
"""

from __future__ import annotations

import re
from pathlib import Path

from marketplace_core._plugins.openapi import describe
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing.compat import documents, recording
from marketplace_core.testing.compat.subjects import subjects
from marketplace_core.values import AUDIENCES
from tests.compat.stored import STORED

HERE = Path(__file__).parent
RECORDED = sorted(folder for folder in HERE.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", folder.name))
FILE = "decided.txt"


def changed_documents(folder: Path) -> list[str]:
    return documents.changes(folder, {audience: describe(DEFAULT_FILE, audience) for audience in AUDIENCES})


def changed_structs(folder: Path) -> list[str]:
    return recording.changes(folder, subjects(STORED))


def undecided(found: list[str], folder: Path) -> list[str]:
    file = folder / FILE
    known = set(file.read_text().splitlines()) if file.exists() else set()
    return [line for line in found if line not in known]


if __name__ == "__main__":
    for each in RECORDED:
        lines = sorted({*changed_documents(each), *changed_structs(each)})
        (each / FILE).write_text("".join(f"{line}\n" for line in lines))
