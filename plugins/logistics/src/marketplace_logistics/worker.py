"""What logistics does in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Schedule
from marketplace_logistics.service import LogisticsService

__all__ = ["SCHEDULES", "SUBSCRIPTIONS"]

SUBSCRIPTIONS = (
    LogisticsService.on_package_shipped,
    LogisticsService.on_shipment_requested,
    LogisticsService.on_webhook_received,
)

SCHEDULES = (
    Schedule("logistics.poll", LogisticsService.poll, timedelta(minutes=1)),
    Schedule("logistics.purge_webhooks", LogisticsService.purge_webhooks, timedelta(hours=1)),
)
