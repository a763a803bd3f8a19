"""Which of the installed Java machines runs a server."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from marketplace_core.adapters.native.errors import EmbeddedError

__all__ = ["java"]

_VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)


def java(at_least: int) -> Path:
    """The ``java`` of such a version, or a later one: JAVA_HOME's, the PATH's, or the oldest beside them that will do.

    :raises EmbeddedError: none is installed.
    """
    for home in _homes():
        if (found := _version(home)) is not None and found >= at_least:
            return home / "bin" / "java"
    raise EmbeddedError(
        f"there is no Java {at_least} or later", f"install one (openjdk-{at_least}-jre-headless), or name it by JAVA_HOME"
    )


def _homes() -> Iterator[Path]:
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if found := shutil.which("java"):
        yield Path(found).resolve().parents[1]
    beside = [home for folder in (Path("/usr/lib/jvm"), Path("/opt")) for home in folder.glob("*") if _version(home)]
    yield from sorted(beside, key=lambda home: _version(home) or 0)


def _version(home: Path) -> int | None:
    """As its file ``release`` says, for which nothing has to be started."""
    try:
        found = _VERSION.search((home / "release").read_text())
    except OSError:
        return None
    return int(found[1]) if found and (home / "bin" / "java").exists() else None
