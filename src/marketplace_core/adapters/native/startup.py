"""Waiting for a server to be ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from marketplace_core._supervisor.children import Child
from marketplace_core.adapters.native.errors import EmbeddedError

_PAUSE = 0.01
_LINES = 5


async def until_ready(child: Child, ready: Callable[[], Awaitable[bool]], *, log: Path, offset: int, patience: float) -> None:
    """Ask `ready` until it says yes. `offset` is where this start's lines begin in the log.

    Raises EmbeddedError with the log's last lines when the server ends or the time is over.
    """
    try:
        async with asyncio.timeout(patience):
            while not await ready():
                if not child.running:
                    cause = f"{child.name} ended with code {child.returncode}: {last_lines(log, offset)}"
                    raise EmbeddedError(cause, f"see {log}")
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        cause = f"{child.name} is not ready after {patience:.0f} s: {last_lines(log, offset)}"
        raise EmbeddedError(cause, f"see {log}, and end what keeps it busy") from None


def size(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def last_lines(log: Path, offset: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(offset)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return " | ".join(line.strip() for line in lines[-_LINES:]) or "it wrote nothing"
