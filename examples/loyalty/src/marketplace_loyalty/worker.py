"""What loyalty does in a worker."""

from __future__ import annotations

from marketplace_loyalty.service import LoyaltyService

__all__ = ["SUBSCRIPTIONS"]

SUBSCRIPTIONS = (LoyaltyService.on_order_changed, LoyaltyService.on_shipment_changed)
