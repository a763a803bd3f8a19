"""What wishlists do in a worker."""

from __future__ import annotations

from marketplace_wishlist.service import WishlistService

__all__ = ["SUBSCRIPTIONS"]

SUBSCRIPTIONS = (WishlistService.on_product_changed,)
