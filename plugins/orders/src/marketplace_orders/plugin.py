"""The orders plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.logistics import Logistics
from marketplace_core.capabilities.orders import Orders
from marketplace_core.capabilities.payments import Payments
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.capabilities.users import Users
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_core.sagas import Saga
from marketplace_orders import router, worker
from marketplace_orders.config import OrdersConfig
from marketplace_orders.discounts import PriceRules
from marketplace_orders.placing import Checkout
from marketplace_orders.sagas import SAGAS
from marketplace_orders.service import OrderService

STORES = {"postgres": "marketplace_orders.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="orders",
        version="0.1.0",
        provides="orders",
        requires=("catalog", "orchestrator"),
        uses=("users", "sellers", "cart", "payments", "logistics"),
        stores=("postgres",),
    )


@hookimpl
def settings() -> type[OrdersConfig]:
    return OrdersConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_orders(context: PluginContext) -> Orders:
    config = context.config(OrdersConfig)
    checkout = Checkout(
        context.port(Catalog),
        context.optional_port(Cart),
        context.optional_port(Sellers),
        context.optional_port(Logistics),
        context.optional_port(Users),
        PriceRules(context.extensions, context.clock),
        context.clock,
        config,
        takes_money=context.optional_port(Payments) is not None,
        tax_included=context.tax_included,
        origins=context.origins,
    )
    keys = context.keys("orders.token")
    return OrderService(
        context.units, context.store(STORES), checkout, context.clock, config, context.pictures.url, token_keys=keys
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Orders))


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES


@hookimpl
def sagas() -> Sequence[Saga]:
    return SAGAS
