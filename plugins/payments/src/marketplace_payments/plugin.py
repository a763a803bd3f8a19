"""The payments plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.payments import GatewayEvent, Payments
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_core.ports import WebhookInbox
from marketplace_payments import router, worker
from marketplace_payments.config import PaymentsConfig
from marketplace_payments.gateways import Gateways
from marketplace_payments.service import PaymentService
from marketplace_payments.store import LedgerStore, PaymentStore

STORES = {"postgres": "marketplace_payments.stores.postgres:make", "mongo": "marketplace_payments.stores.mongo:make"}
LEDGER = {"postgres": "marketplace_payments.stores.postgres_ledger:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="payments",
        version="0.1.0",
        provides="payments",
        stores=("postgres", "mongo"),
        roles={"ledger": ("postgres",)},
    )


@hookimpl
def settings() -> type[PaymentsConfig]:
    return PaymentsConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_payments(context: PluginContext) -> Payments:
    store: PaymentStore
    webhooks: WebhookInbox[GatewayEvent]
    store, webhooks = context.store(STORES)
    ledger: LedgerStore = context.store(LEDGER, "ledger")
    # Extensions are made when they are first called: they may ask for ports that are being made.
    gateways = Gateways(lambda: context.extensions, context.cache)
    config = context.config(PaymentsConfig)
    ledger_units = context.units_of("ledger")
    return PaymentService(context.units, ledger_units, store, ledger, webhooks, gateways, context.clock, config)


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Payments))


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
