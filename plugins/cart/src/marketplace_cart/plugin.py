"""The cart plugin's hooks."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_cart.config import CartConfig
from marketplace_cart.service import CartService
from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_core.http.cart import cart_routers
from marketplace_core.http.routing import Router

STORES = {"redis": "marketplace_cart.stores.redis:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="cart", version="0.1.0", provides="cart", requires=("catalog",), stores=("redis",))


@hookimpl
def settings() -> type[CartConfig]:
    return CartConfig


@hookimpl
def provide_cart(context: PluginContext) -> Cart:
    return CartService(
        context.store(STORES),
        context.port(Catalog),
        context.config(CartConfig),
        context.pictures.url,
        currency=context.currency,
        token_keys=context.keys("cart.token"),
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return cart_routers(context.port(Cart))
