"""What a test costs: CPU of this process and of all that it has started, but for what many of them share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cpu_seconds", "of_one", "shared"]

_TICKS = os.sysconf("SC_CLK_TCK")
_shared = 0.0


def of_one() -> float:
    """Seconds so far that count for single tests."""
    return cpu_seconds() - _shared


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """What is done here is for all who come, and not the cost of the one who came first."""
    global _shared  # noqa: PLW0603
    began = cpu_seconds()
    try:
        yield
    finally:
        _shared += cpu_seconds() - began


def cpu_seconds() -> float:
    """Of this process and all below it, those that have ended included. Time that others took from them does not count."""
    ticks, below = 0, [os.getpid()]
    while below:
        process = Path(f"/proc/{below.pop()}")
        try:
            ticks += sum(map(int, (process / "stat").read_bytes().rpartition(b")")[2].split()[11:15]))
            for thread in (process / "task").iterdir():
                below += map(int, (thread / "children").read_bytes().split())
        except OSError:  # it has just ended: its parent counts it from now on
            continue
    return ticks / _TICKS
