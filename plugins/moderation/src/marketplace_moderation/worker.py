"""What moderation does in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Schedule
from marketplace_moderation.service import ModerationService

__all__ = ["SCHEDULES", "SUBSCRIPTIONS"]

SUBSCRIPTIONS = (ModerationService.on_content_submitted, ModerationService.on_author_told)

SCHEDULES = (Schedule("moderation.measure", ModerationService.measure, timedelta(minutes=1)),)
