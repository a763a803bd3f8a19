"""The simulated time: the machine's, moved by an offset that survives a restart."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from marketplace_simulators.store import Store

__all__ = ["Clock", "rfc3339"]


def rfc3339(at: float) -> str:
    """Unix seconds as ``2026-01-31T12:00:00.000Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """What goes into bodies, signatures and expiries. Delays and retries go by real time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._offset = float(store.setting("offset") or 0)

    @property
    def offset(self) -> float:
        return self._offset

    def now(self) -> float:
        return time.time() + self._offset

    def text(self) -> str:
        return rfc3339(self.now())

    def move(self, offset: float) -> None:
        self._store.set("offset", repr(offset))
        self._offset = offset
