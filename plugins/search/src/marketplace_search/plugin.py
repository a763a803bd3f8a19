"""The search plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.search import Search
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, Task, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_search import commands as searching
from marketplace_search import router, worker
from marketplace_search.config import SearchConfig
from marketplace_search.service import SearchService
from marketplace_search.store import SearchStore, SignalStore

STORES = {
    "tantivy": "marketplace_search.stores.tantivy:make",
    "elasticsearch": "marketplace_search.stores.elasticsearch:make",
}
SIGNALS = {"postgres": "marketplace_search.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="search",
        version="0.1.0",
        provides="search",
        requires=("catalog",),
        uses=("sellers",),
        stores=("tantivy", "elasticsearch"),
        roles={"signals": ("postgres",)},
    )


@hookimpl
def settings() -> type[SearchConfig]:
    return SearchConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_search(context: PluginContext) -> SearchService:
    store: SearchStore = context.store(STORES)
    signals: SignalStore = context.store(SIGNALS, "signals")
    made = SearchService(
        context.projections,
        store,
        signals,
        context.port(Catalog),
        context.optional_port(Sellers),
        context.feeds,
        context.extensions,
        context.clock,
        context.key("search signals"),
        context.config(SearchConfig),
        context.tell,
        context.pictures.url,
    )
    context.closing(made.close)
    return made


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Search))


@hookimpl
def commands() -> Sequence[typer.Typer]:
    return (searching.app,)


@hookimpl
def tasks() -> Sequence[Task]:
    return worker.TASKS


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
