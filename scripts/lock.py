"""Writes `requirements.lock`: every distribution that `make install` takes from the index, one version each, with its hashes.

Read from the pyproject.toml of core, the plugins and the examples. What is ours is not in it: that is the working copy.
`--upgrade` takes newer versions; without it a version that still fits stays.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
#: The extras of core that `make install` takes.
EXTRAS = ("embedded", "analytics", "dbos", "mongo", "temporal", "kafka", "elasticsearch", "s3", "otlp", "testing", "dev")
PYTHON = "3.11"


def projects() -> list[Path]:
    return [
        ROOT / "pyproject.toml",
        *sorted(ROOT.glob("plugins/*/pyproject.toml")),
        *sorted(ROOT.glob("examples/*/pyproject.toml")),
    ]


def requirements() -> set[str]:
    """What is asked for of others, as it is written there, with what builds our own."""
    return {one for path in projects() for one in _asked(path) if not name_of(one).startswith("marketplace-")}


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def locked(text: str) -> dict[str, str]:
    """The version of each that is installed here: what is of other platforms and versions of Python is left out."""
    lines = (Requirement(line.rstrip(" \\")) for line in text.splitlines() if line[:1].isalnum())
    return {name_of(one.name): str(one.specifier)[2:] for one in lines if one.marker is None or one.marker.evaluate()}


def _asked(path: Path) -> Iterator[str]:
    read = tomllib.loads(path.read_text())
    yield from read["build-system"]["requires"]
    yield from read["project"].get("dependencies", ())
    for extra, asked in read["project"].get("optional-dependencies", {}).items():
        if extra in EXTRAS or path.parent != ROOT:
            yield from asked


def main(arguments: list[str]) -> None:
    asked = "\n".join([*sorted(requirements()), "pip"])
    command = [
        "uv",
        "pip",
        "compile",
        "-",
        "--universal",
        "--generate-hashes",
        "--no-header",
        "--no-emit-index-url",
        "--no-annotate",
    ]
    command += ["--python-version", PYTHON, "--quiet", "--output-file", str(LOCK), *arguments]
    subprocess.run(command, input=asked, text=True, check=True, cwd=ROOT)
    print(f"{LOCK.name}: {len(locked(LOCK.read_text()))} distributions")


if __name__ == "__main__":
    main(sys.argv[1:])
