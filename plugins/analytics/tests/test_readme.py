"""What the README lists is what the code declares."""

from __future__ import annotations

from pathlib import Path

from marketplace_core.testing.readme import check_readme


def test_the_readme_is_up_to_date() -> None:
    check_readme("analytics", Path(__file__).parents[1] / "README.md")
