"""The catalog plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_catalog import router, worker
from marketplace_catalog import sagas as own_sagas
from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.service import CatalogService
from marketplace_catalog.store import CatalogStore, StockStore
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.moderation import Moderation
from marketplace_core.capabilities.orchestrator import Orchestrator
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Job, Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_core.sagas import Saga

STORES = {"postgres": "marketplace_catalog.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="catalog",
        version="0.1.0",
        provides="catalog",
        uses=("moderation", "orchestrator"),
        stores=("postgres",),
        emits=("moderation",),
    )


@hookimpl
def settings() -> type[CatalogConfig]:
    return CatalogConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_catalog(context: PluginContext) -> Catalog:
    store: CatalogStore
    stock: StockStore
    store, stock = context.store(STORES)
    judges = context.optional_port(Moderation), context.optional_port(Orchestrator)
    return CatalogService(
        context.units,
        store,
        stock,
        context.cache,
        context.pictures,
        context.config(CatalogConfig),
        moderated=None not in judges,
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Catalog), context.pictures)


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def jobs() -> Sequence[Job]:
    return worker.JOBS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES


@hookimpl
def sagas() -> Sequence[Saga]:
    return own_sagas.SAGAS
