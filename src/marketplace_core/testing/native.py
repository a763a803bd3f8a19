"""Servers out of the cache for the tests of one group, such as ``pytest.mark.xdist_group("kafka")``.

Each is started when a test first asks for it, is used by all of its group, and ends with the group: one that stands beside all
other tests would take their memory. So what a test keeps there has a name of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import TypeVar

import pytest

from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.installed import InstalledServer

__all__ = ["native_server", "stop_native"]

S = TypeVar("S", bound=InstalledServer)

_running: dict[type[InstalledServer], tuple[InstalledServer, Path, asyncio.AbstractEventLoop]] = {}


def native_server(kind: type[S]) -> S:
    """Skips the test where what installs it is not there; in CI that is a failure. Not to be called from an event loop."""
    if kind not in _running:
        _running[kind] = _started(kind)
    server = _running[kind][0]
    assert isinstance(server, kind)  # noqa: S101 - as it was put there
    return server


def _started(kind: type[S]) -> tuple[S, Path, asyncio.AbstractEventLoop]:
    folder = Path(tempfile.mkdtemp(prefix="mp-"))
    server, loop = kind(folder / "d"), asyncio.new_event_loop()  # its process is watched from there
    try:
        loop.run_until_complete(server.start())
    except EmbeddedError as error:
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return server, folder, loop


def stop_native() -> None:
    """All of them. Who needs one again starts it again."""
    while _running:
        server, folder, loop = _running.popitem()[1]
        server.kill()  # nobody reads what it would write
        loop.run_until_complete(server.stop())
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
