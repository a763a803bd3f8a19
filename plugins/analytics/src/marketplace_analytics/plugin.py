"""The analytics plugin's hooks."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from marketplace_analytics import commands as reporting
from marketplace_analytics import router, worker
from marketplace_analytics.config import AnalyticsConfig
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.store import AnalyticsStore
from marketplace_core.capabilities.analytics import Analytics
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import PluginInfo, Sink, hookimpl
from marketplace_core.http.routing import Router

STORES = dict.fromkeys(("chdb", "clickhouse"), "marketplace_analytics.stores.clickhouse:make")


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="analytics", version="0.1.0", provides="analytics", stores=("chdb", "clickhouse"))


@hookimpl
def settings() -> type[AnalyticsConfig]:
    return AnalyticsConfig


@hookimpl
def provide_analytics(context: PluginContext) -> AnalyticsService:
    store: AnalyticsStore = context.store(STORES)
    return AnalyticsService(store, context.clock, context.key("persons"), context.currency, context.config(AnalyticsConfig))


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Analytics))


@hookimpl
def commands() -> Sequence[typer.Typer]:
    return (reporting.app,)


@hookimpl
def sinks() -> Sequence[Sink]:
    return worker.SINKS
