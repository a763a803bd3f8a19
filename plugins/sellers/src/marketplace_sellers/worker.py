"""What sellers do in a worker."""

from __future__ import annotations

from marketplace_sellers.service import SellersService

__all__ = ["SUBSCRIPTIONS"]

SUBSCRIPTIONS = (SellersService.on_product_changed, SellersService.on_seller_changed, SellersService.on_seller_rated)
