"""What payments do in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Schedule
from marketplace_payments.service import PaymentService

__all__ = ["SCHEDULES", "SUBSCRIPTIONS"]

SUBSCRIPTIONS = (
    PaymentService.on_package_shipped,
    PaymentService.on_items_cancelled,
    PaymentService.on_operation_requested,
    PaymentService.on_webhook_received,
    PaymentService.on_payment_captured,
    PaymentService.on_order_completed,
    PaymentService.on_order_failed,
)

SCHEDULES = (
    Schedule("payments.poll_pending", PaymentService.poll_pending, timedelta(seconds=5)),
    Schedule("payments.purge_webhooks", PaymentService.purge_webhooks, timedelta(hours=1)),
)
