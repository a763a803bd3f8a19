"""Checks the types of core and of each plugin: one after another, since their tests have files of the same name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    sources = [ROOT / "src", *sorted(ROOT.glob("examples/*/src")), *sorted(ROOT.glob("plugins/*/src"))]
    return subprocess.call([sys.executable, "-m", "mypy", *map(str, sources)], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
