"""What a plugin declares, between two marks of its README: checked by a test, and written by

.. code-block:: console

    python -m marketplace_core.testing.readme NAME README.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from marketplace_core._plugins.catalogue import described

__all__ = ["check_readme", "declared", "write_readme"]

_BETWEEN = re.compile(r"(<!-- declared\b[^\n]*-->\n)(.*?)(<!-- /declared -->)", re.DOTALL)


def declared(plugin: str) -> str:
    """A Markdown table of an installed plugin's settings, stores, routes, events, jobs and schedules."""
    rows = "".join(f"| {title} | {'; '.join(f'`{item}`' for item in items)} |\n" for title, items in described(plugin).items())
    return f"| | |\n|---|---|\n{rows}"


def write_readme(plugin: str, readme: Path) -> None:
    """Put it between the marks. :raises ValueError: there are none."""
    text, count = _BETWEEN.subn(lambda marks: marks[1] + declared(plugin) + marks[3], readme.read_text())
    if count != 1:
        raise ValueError(f"{readme} has no lines <!-- declared --> and <!-- /declared -->, between which to write")
    readme.write_text(text)


def check_readme(plugin: str, readme: Path) -> None:
    """:raises AssertionError: it says something else than the code, or has no marks."""
    between = _BETWEEN.search(readme.read_text())
    if between is None or between[2] != declared(plugin):
        raise AssertionError(f"{readme} is out of date; run python -m marketplace_core.testing.readme {plugin} {readme}")


if __name__ == "__main__":
    write_readme(sys.argv[1], Path(sys.argv[2]))
