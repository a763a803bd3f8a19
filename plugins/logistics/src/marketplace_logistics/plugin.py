"""The logistics plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.logistics import Logistics
from marketplace_core.capabilities.orders import Orders
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_core.ports import WebhookInbox
from marketplace_logistics import router, worker
from marketplace_logistics.carriers import Carriers
from marketplace_logistics.config import LogisticsConfig
from marketplace_logistics.domain import TrackingEvent
from marketplace_logistics.labels import Labels
from marketplace_logistics.service import LogisticsService
from marketplace_logistics.store import LogisticsStore

STORES = {"postgres": "marketplace_logistics.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="logistics", version="0.1.0", provides="logistics", uses=("orders",), stores=("postgres",))


@hookimpl
def settings() -> type[LogisticsConfig]:
    return LogisticsConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_logistics(context: PluginContext) -> Logistics:
    store: LogisticsStore
    webhooks: WebhookInbox[TrackingEvent]
    store, webhooks = context.store(STORES)
    return LogisticsService(
        context.units,
        store,
        webhooks,
        Carriers(lambda: context.extensions),
        Labels(context.blobs, context.keys("logistics.labels")),
        lambda: context.optional_port(Orders),
        context.clock,
        context.config(LogisticsConfig),
        context.currency,
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Logistics))


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
