"""Routes of wishlists."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.http.routing import Request, Router
from marketplace_wishlist.wishlist import Wishlist, WishlistView, WishView

__all__ = ["routers"]


def routers(wishlist: Wishlist) -> Sequence[Router]:
    buyer = Router("buyer", "wishlist")

    @buyer.get("/wishlist")
    async def get_wishlist(request: Request) -> WishlistView:
        """What one wishes for, the newest first."""
        return await wishlist.get_wishlist(request.account_id)

    @buyer.get("/wishlist/{product_id}")
    async def get_wish(request: Request, product_id: str) -> WishView:
        """Whether one wishes for a product."""
        return await wishlist.get_wish(request.account_id, product_id)

    @buyer.put("/wishlist/{product_id}")
    async def add_wish(request: Request, product_id: str) -> WishView:
        """Wish for a product."""
        return await wishlist.add_wish(request.account_id, product_id)

    @buyer.delete("/wishlist/{product_id}")
    async def remove_wish(request: Request, product_id: str) -> None:
        """Wish for it no longer."""
        await wishlist.remove_wish(request.account_id, product_id)

    return [buyer]
