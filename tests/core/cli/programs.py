"""The command as one calls it, and a deployment file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from marketplace_core.testing._forks import command

COMMAND = [sys.executable, "-m", "marketplace_core.cli"]


FILE = """
[deployment]
name = "shop"
profile = "embedded"
currency = "EUR"

[resources]
main = "embedded:postgres"
lasting = "embedded:redis"
cache = {{ url = "embedded:redis", role = "cache" }}
files = "embedded:folder"

[plugins.auth]
[plugins.catalog]

[services.market]
plugins = ["auth", "catalog"]

[gateways.market]
audiences = ["buyer", "seller", "logistics", "admin"]
listen = "127.0.0.1:{port}"
service = "market"

[simulators.payments]
"""


def marketplace(*arguments: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Forked, unless it is about the interpreter's own environment."""
    if cwd is None and not env:
        return command(*arguments, timeout=60)
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **env},
    )
