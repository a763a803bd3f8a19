"""examples/README.md tells a newcomer of everything that is there, and of nothing else."""

from __future__ import annotations

import re
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
INDEX = (EXAMPLES / "README.md").read_text()


def test_everything_is_in_the_index() -> None:
    named = set(re.findall(r"\]\(([\w./]+)\)", INDEX))
    for target in named:
        assert (EXAMPLES / target).exists(), target
    folders = {f"{path.name}/" for path in EXAMPLES.iterdir() if (path / "README.md").exists()}
    deployments = {
        path.relative_to(EXAMPLES).as_posix() for path in [*EXAMPLES.glob("*.toml"), *EXAMPLES.glob("*/market.toml")]
    }
    assert folders | deployments <= named
