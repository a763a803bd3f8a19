"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.cart import cart_routers
from marketplace_core.http.routing import Router
from marketplace_postgres_cart import worker
from marketplace_postgres_cart.config import PostgresCartConfig
from marketplace_postgres_cart.service import PostgresCartService

STORES = {"postgres": "marketplace_postgres_cart.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="postgres_cart", version="0.1.0", provides="cart", requires=("catalog",), stores=("postgres",))


@hookimpl
def settings() -> type[PostgresCartConfig]:
    return PostgresCartConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_cart(context: PluginContext) -> Cart:
    return PostgresCartService(
        context.units,
        context.store(STORES),
        context.port(Catalog),
        context.config(PostgresCartConfig),
        currency=context.currency,
        token_keys=context.keys("cart.token"),
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return cart_routers(context.port(Cart))


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
