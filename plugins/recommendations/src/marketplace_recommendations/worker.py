"""What recommendations do in a worker."""

from __future__ import annotations

from datetime import time, timedelta

from marketplace_core.hookspecs import Schedule, Sink, Task
from marketplace_recommendations.config import RecommendationsConfig
from marketplace_recommendations.following import SHELVES, SIGNALS
from marketplace_recommendations.service import RecommendationsService

__all__ = ["SCHEDULES", "SUBSCRIPTIONS", "TASKS", "sinks"]

#: What is sold out is to be gone from the feed within two seconds.
SHELVES_SECONDS = 0.1

SUBSCRIPTIONS = (RecommendationsService.on_profile_changed,)

TASKS = (Task("recommendations.refresh_feed", RecommendationsService.refresh_feed),)

SCHEDULES = (
    Schedule("recommendations.keep_feed", RecommendationsService.keep_feed, timedelta(seconds=5)),
    Schedule("recommendations.forget_old", RecommendationsService.forget_old, timedelta(hours=1)),
    Schedule("recommendations.train", RecommendationsService.train_by_schedule, at=time(3, 30)),
)


def sinks(config: RecommendationsConfig) -> tuple[Sink, ...]:
    """What is on the shelves is followed at once; what people do may wait for more of it."""
    return (
        Sink("recommendations.shelves", RecommendationsService.follow, 1000, min(SHELVES_SECONDS, config.linger), SHELVES),
        Sink("recommendations.signals", RecommendationsService.follow, 1000, config.linger, SIGNALS),
    )
