"""Servers that a killed supervisor left: they must be gone before a new one opens their files."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import psutil

from marketplace_core.adapters.native.errors import EmbeddedError

_PAUSE = 0.02


def find(programs: tuple[str, ...], folder: Path) -> list[psutil.Process]:
    """Living processes so named, or longer, that work in `folder`. Zombies hold no files and do not count."""
    found = []
    for process in psutil.process_iter(["name"]):
        if (process.info["name"] or "").startswith(programs):
            with contextlib.suppress(psutil.Error, OSError):
                if Path(process.cwd()) == folder:
                    found.append(process)
    return found


async def end(programs: tuple[str, ...], folder: Path, *, wait: float = 1.5, each: float = 5.0) -> None:
    """Wait until no server works in `folder`, and after `wait` seconds make it so.

    Only for whoever holds the lock of the data folder: then such a server has lost its supervisor.
    """
    for number, seconds in ((None, wait), (signal.SIGQUIT, each), (signal.SIGKILL, each)):
        processes = find(programs, folder)
        if number is not None:
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
        deadline = time.monotonic() + seconds
        while processes and time.monotonic() < deadline:
            await asyncio.sleep(_PAUSE)
            processes = find(programs, folder)
        if not processes:
            return
    pids = ", ".join(str(process.pid) for process in processes)
    raise EmbeddedError(f"a {programs[0]} of an earlier start still runs in {folder}", f"end pid {pids}")
