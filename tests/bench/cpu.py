"""The processor's time that processes used, of which the machine keeps account."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from market import Market

__all__ = ["Spent", "spent"]

_TICKS = os.sysconf("SC_CLK_TCK")
Spent = Mapping[str, float]
"""Seconds by process."""


def spent(market: Market) -> Spent:
    """So far, by each process of a market with those below it: PostgreSQL's backends are below its own."""
    every = _every()
    found = {}
    for process in market.state.processes:
        if process.pid is not None:
            kind = process.kind if process.kind in {"api", "worker"} else process.name
            below = [process.pid] if process.kind == "supervisor" else _below(process.pid, every)
            found[kind] = found.get(kind, 0.0) + sum(every[pid][1] for pid in below if pid in every)
    return found


def _every() -> dict[int, tuple[int, float]]:
    """Of each process of the machine: its parent, and its seconds with those of the children that it has waited for."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        found[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:13])) / _TICKS
    return found


def _below(pid: int, every: Mapping[int, tuple[int, float]]) -> list[int]:
    return [pid, *(each for child, (parent, _) in every.items() if parent == pid for each in _below(child, every))]
