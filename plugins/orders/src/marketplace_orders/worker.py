"""What orders do in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Schedule
from marketplace_orders.service import OrderService

__all__ = ["SCHEDULES", "SUBSCRIPTIONS"]

SUBSCRIPTIONS = (
    OrderService.on_cart_merged,
    OrderService.on_payment_changed,
    OrderService.on_payment_settled,
    OrderService.on_shipment_changed,
)

SCHEDULES = (Schedule("orders.complete_delivered", OrderService.complete_delivered, timedelta(minutes=1)),)
