"""The sellers plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.moderation import Moderation
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Job, Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_sellers import router, worker
from marketplace_sellers.config import SellersConfig
from marketplace_sellers.service import SellersService

STORES = {"postgres": "marketplace_sellers.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="sellers",
        version="0.1.0",
        provides="sellers",
        requires=("catalog",),
        uses=("moderation",),
        stores=("postgres",),
        emits=("moderation",),
    )


@hookimpl
def settings() -> type[SellersConfig]:
    return SellersConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_sellers(context: PluginContext) -> Sellers:
    return SellersService(
        context.units,
        context.store(STORES),
        context.port(Catalog),
        context.cache,
        context.clock,
        context.pictures,
        context.config(SellersConfig),
        moderated=context.optional_port(Moderation) is not None,
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Sellers), context.pictures)


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def jobs() -> Sequence[Job]:
    return worker.JOBS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
