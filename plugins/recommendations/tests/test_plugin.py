"""What the plugin declares, and its commands that need no server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace_core.testing.readme import check_readme

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_says_what_is_declared() -> None:
    check_readme("recommendations", README)


def marketplace(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", "marketplace_core.cli", *arguments)
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_a_file_is_evaluated_without_a_server(tmp_path: Path) -> None:
    file = tmp_path / "people.txt"
    file.write_text("".join(f"u{n} i{n % 21} i{(n + 1) % 21} i{(n + 2) % 21}\n" for n in range(42)))
    done = marketplace("recommendations", "evaluate", str(file), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["hr@10"], found["people"], found["items"]) == (1.0, 42, 21)
    assert 0 < found["ndcg@10"] <= 1 and 0 < found["coverage"] <= 1


@pytest.mark.parametrize("content", [b"", b"ada\n", b"\xff\xfe\x00", None])
def test_a_file_that_is_none_is_wrong_input(content: bytes | None, tmp_path: Path) -> None:
    from marketplace_recommendations.commands import evaluate  # noqa: PLC0415

    from marketplace_core.commands import Failed  # noqa: PLC0415

    file = tmp_path / "people.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Failed) as caught:
        evaluate(file, seed=1, plot=None, json=True)
    assert caught.value.code == 2 and str(file) in caught.value.cause
