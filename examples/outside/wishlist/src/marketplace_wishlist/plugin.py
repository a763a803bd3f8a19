"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_wishlist import router, worker
from marketplace_wishlist.config import WishlistConfig
from marketplace_wishlist.domain import Rules
from marketplace_wishlist.service import WishlistService
from marketplace_wishlist.wishlist import Wishlist

#: By name, so that each driver is imported only where its store was chosen.
STORES = {
    "postgres": "marketplace_wishlist.stores.postgres:make",
    "sqlite": "marketplace_wishlist.stores.sqlite:make",
}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="wishlist", version="0.1.0", provides="wishlist", requires=("catalog",), stores=tuple(STORES))


@hookimpl
def settings() -> type[WishlistConfig]:
    return WishlistConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_wishlist(context: PluginContext) -> Wishlist:
    rules = Rules(context.config(WishlistConfig).limit)
    return WishlistService(context.units, context.store(STORES), context.port(Catalog), rules)


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Wishlist))


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS
