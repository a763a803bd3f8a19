"""The routes of the cart, whoever provides it: a plugin of the capability returns these from its ``routers`` hook."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner, CartView, SetQuantity
from marketplace_core.http.routing import Request, Router

__all__ = ["cart_routers"]


def cart_routers(cart: Cart) -> Sequence[Router]:
    return (_buyer(cart),)


def _owner(request: Request) -> CartOwner:
    account_id = request.caller.account_id
    return CartOwner(account_id, None if account_id else request.headers.get("x-cart-token"))


def _buyer(cart: Cart) -> Router:
    router = Router("buyer", "cart")

    @router.get("/cart", access="guest")
    async def get_cart(request: Request) -> CartView:
        """The cart with prices and stock of now. A guest sends X-Cart-Token; without a good one the cart is a new one."""
        return await cart.get_cart(_owner(request))

    # A guest's first item makes a cart, which is kept for weeks: nobody fills our memory by asking for one after another.
    @router.post("/cart/items", access="guest", status=200, rate="carts", rated_for="guests")
    async def add_item(request: Request, body: AddItem) -> CartView:
        """Add units of a variant."""
        return await cart.add_item(_owner(request), body)

    @router.patch("/cart/items/{variant_id}", access="guest")
    async def set_quantity(request: Request, variant_id: str, body: SetQuantity) -> CartView:
        """Have this many units of an item; none removes it. If-Match takes the cart's ETag."""
        return await cart.set_quantity(_owner(request), variant_id, body.quantity, request.if_match)

    @router.delete("/cart/items/{variant_id}", access="guest", status=200)
    async def remove_item(request: Request, variant_id: str) -> CartView:
        """Remove an item. If-Match takes the cart's ETag."""
        return await cart.set_quantity(_owner(request), variant_id, 0, request.if_match)

    return router
