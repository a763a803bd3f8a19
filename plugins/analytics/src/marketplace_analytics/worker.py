"""What the analytics does in a worker."""

from __future__ import annotations

from marketplace_analytics.service import AnalyticsService
from marketplace_core.hookspecs import Sink

__all__ = ["SINKS"]

SINKS = (Sink("analytics.events", AnalyticsService.take, size=10_000, linger=1.0),)
