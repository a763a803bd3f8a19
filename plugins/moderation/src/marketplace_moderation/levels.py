"""Service levels of moderation, as metrics."""

from __future__ import annotations

from marketplace_core.metrics import PluginMetrics
from marketplace_moderation.domain import Item
from marketplace_moderation.store import Waiting

__all__ = ["Levels"]


class Levels:
    def __init__(self, metrics: PluginMetrics) -> None:
        self._decisions = metrics.counter("decisions", "Decisions, by the checks or by a person.", ("by", "decision"))
        self._appeals = metrics.counter("appeals_decided", "Appeals that were decided.", ("overturned",))
        self._waiting = metrics.gauge("waiting", "Items that wait for a person.", ("status",))
        self._oldest = metrics.gauge("oldest_seconds", "For how long the oldest item waits; 0: none does.")

    async def decided(self, item: Item, *, by_checks: bool, overturned: bool) -> None:
        self._decisions.labels("checks" if by_checks else "moderator", item.decision or "").inc()
        if item.appeal is not None:
            self._appeals.labels("yes" if overturned else "no").inc()

    def waiting(self, found: Waiting) -> None:
        self._waiting.labels("open").set(found.open)
        self._waiting.labels("appealed").set(found.appealed)
        self._oldest.set(found.seconds)
