"""Records what this release sends, keeps and serves, and runs of its sagas, under ``tests/compat/<version>/``, for later ones.

Run it when CHANGELOG.md has the version's section. A release that is out stays as it was recorded: ``--again`` is for before
that.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tomllib
from pathlib import Path

import msgspec
import structlog

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="write over an earlier recording of this version")
    again = parser.parse_args().again
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    folder = ROOT / "tests" / "compat" / version
    if folder.exists() and not again:
        print(
            f"{folder.relative_to(ROOT)} is there: {version} was recorded; give the next release its version, or say --again",
            file=sys.stderr,
        )
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    _record(folder)
    print(folder.relative_to(ROOT))
    return 0


def _record(folder: Path) -> None:
    from marketplace_core._plugins.openapi import describe  # noqa: PLC0415
    from marketplace_core.deployment import DEFAULT_FILE  # noqa: PLC0415
    from marketplace_core.testing.compat import documents  # noqa: PLC0415
    from marketplace_core.testing.compat.recording import record  # noqa: PLC0415
    from marketplace_core.testing.compat.subjects import subjects  # noqa: PLC0415
    from marketplace_core.testing.servers import Servers  # noqa: PLC0415
    from marketplace_core.values import AUDIENCES  # noqa: PLC0415
    from tests.compat.runs import histories  # noqa: PLC0415
    from tests.compat.stored import STORED  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    record(folder, subjects(STORED))
    documents.record(folder, {audience: describe(DEFAULT_FILE, audience) for audience in AUDIENCES})
    servers = Servers()
    try:
        servers.start()
        found = asyncio.run(histories(servers))
    finally:
        servers.stop()
    for name, (history, rows) in found.items():
        _write(folder / "histories" / f"{name}.json", history)
        _write(folder / "engine" / f"{name}.json", rows)


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
