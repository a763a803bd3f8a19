"""The recommendations plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from typer import Typer

from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.recommendations import Recommendations
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, Sink, Task, hookimpl, migrations_of
from marketplace_core.http.recommendations import recommendations_routers
from marketplace_core.http.routing import Router
from marketplace_recommendations import commands as operating
from marketplace_recommendations import worker
from marketplace_recommendations.building import FeedBuilder
from marketplace_recommendations.config import RecommendationsConfig
from marketplace_recommendations.domain import Mix
from marketplace_recommendations.lists import HISTORY, Lists
from marketplace_recommendations.recents import Recents
from marketplace_recommendations.service import RecommendationsService
from marketplace_recommendations.store import RecommendationsStore
from marketplace_recommendations.training import Trainer

STORES = {"postgres": "marketplace_recommendations.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="recommendations",
        version="0.1.0",
        provides="recommendations",
        requires=("catalog",),
        uses=("cart",),
        stores=("postgres",),
        needs={"recent": "redis"},
    )


@hookimpl
def settings() -> type[RecommendationsConfig]:
    return RecommendationsConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_recommendations(context: PluginContext) -> Recommendations:
    config = context.config(RecommendationsConfig)
    store: RecommendationsStore = context.store(STORES)
    recents = Recents(context.redis("recent"), actions=HISTORY)
    mix = Mix(config.per_seller, config.per_category)
    feeds, clock = context.feeds, context.clock
    builder = FeedBuilder(store, feeds, context.port(Catalog), context.pool("feed", size=1), clock, config)
    return RecommendationsService(
        context.units,
        store,
        recents,
        feeds,
        Lists(store, recents, feeds, context.optional_port(Cart), context.extensions, mix),
        builder,
        Trainer(store, context.pool("train", size=1, processes=True), clock, config),
        context.tell,
        clock,
        config,
        context.metrics.counter("fallen_back", "Lists for a person that became the feed.", ["cause"]),
        context.pictures.url,
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return recommendations_routers(context.port(Recommendations))


@hookimpl
def commands() -> Sequence[Typer]:
    return (operating.app,)


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def sinks(context: PluginContext) -> Sequence[Sink]:
    return worker.sinks(context.config(RecommendationsConfig))


@hookimpl
def tasks() -> Sequence[Task]:
    return worker.TASKS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
