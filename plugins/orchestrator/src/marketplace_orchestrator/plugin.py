"""The orchestrator plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.orchestrator import Orchestrator
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Task, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_core.sagas import Performer
from marketplace_orchestrator import router, worker
from marketplace_orchestrator.config import OrchestratorConfig
from marketplace_orchestrator.journal import StoredJournal, note_try
from marketplace_orchestrator.service import OrchestratorService
from marketplace_orchestrator.stores.postgres import PostgresOrchestratorStore

STORES = {"postgres": lambda context: PostgresOrchestratorStore(context.database)}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="orchestrator", version="0.1.0", provides="orchestrator", stores=("postgres",), exclusive=True)


@hookimpl
def settings() -> type[OrchestratorConfig]:
    return OrchestratorConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_orchestrator(context: PluginContext) -> Orchestrator:
    store = context.store(STORES)
    journal = StoredJournal(store, context.clock)
    performer = Performer(lambda: context.ports, note_try(store, context.clock))
    return OrchestratorService(
        context.units,
        store,
        context.sagas,
        context.saga_engine(performer, journal),
        journal,
        context.clock,
        context.config(OrchestratorConfig).tick_seconds,
        context.metrics.gauge("sagas", "Sagas that have not ended.", ("saga", "status")),
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Orchestrator))


@hookimpl
def tasks() -> Sequence[Task]:
    return worker.TASKS


@hookimpl
def subscriptions(context: PluginContext) -> Sequence[Callable[..., Any]]:
    return worker.subscriptions(context.sagas)
