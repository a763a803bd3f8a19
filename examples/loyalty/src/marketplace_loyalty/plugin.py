"""The plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_loyalty import router, worker
from marketplace_loyalty.config import LoyaltyConfig
from marketplace_loyalty.domain import Ladder, Tier
from marketplace_loyalty.loyalty import Loyalty
from marketplace_loyalty.service import LoyaltyRule, LoyaltyService

STORES = {"postgres": "marketplace_loyalty.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="loyalty", version="0.1.0", provides="loyalty", requires=("orders",), stores=("postgres",))


@hookimpl
def settings() -> type[LoyaltyConfig]:
    return LoyaltyConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_loyalty(context: PluginContext) -> Loyalty:
    return LoyaltyService(context.units, context.store(STORES), _ladder(context), currency=context.currency)


@hookimpl
def extensions(context: PluginContext) -> LoyaltyRule:
    """Made where orders run, which may be another process than the service's."""
    return LoyaltyRule(context.store(STORES), _ladder(context), context.config(LoyaltyConfig).funded_by)


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Loyalty))


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


def _ladder(context: PluginContext) -> Ladder:
    return Ladder([Tier(tier.name, tier.percent, tier.spent) for tier in context.config(LoyaltyConfig).tiers])
