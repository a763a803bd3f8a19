"""The moderation plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer

from marketplace_core.capabilities.moderation import Moderation
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_moderation import commands as moderating
from marketplace_moderation import router, worker
from marketplace_moderation.config import ModerationConfig
from marketplace_moderation.examining import Checks
from marketplace_moderation.levels import Levels
from marketplace_moderation.service import ModerationService
from marketplace_moderation.store import LikenessStore, ModerationStore

STORES = {"postgres": "marketplace_moderation.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="moderation", version="0.1.0", provides="moderation", stores=("postgres",))


@hookimpl
def settings() -> type[ModerationConfig]:
    return ModerationConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_moderation(context: PluginContext) -> Moderation:
    store: ModerationStore
    likeness: LikenessStore
    store, likeness = context.store(STORES)
    config = context.config(ModerationConfig)
    pool = context.pool("checks", size=1, processes=True)
    return ModerationService(
        context.units,
        store,
        likeness,
        Checks(likeness, context.blobs, context.extensions, pool, config),
        context.blobs,
        context.extensions,
        context.pool("train", size=1, processes=True),
        Levels(context.metrics),
        context.clock,
        config,
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Moderation))


@hookimpl
def commands() -> Sequence[typer.Typer]:
    return (moderating.app,)


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
