"""The auth plugin's hooks."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_auth import router, worker
from marketplace_auth.allow_list import AllowList
from marketplace_auth.config import AuthConfig
from marketplace_auth.passwords import Passwords
from marketplace_auth.service import AuthService
from marketplace_auth.store import ApiKeyStore, AuthStore
from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router

STORES = {"postgres": "marketplace_auth.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="auth",
        version="0.1.0",
        provides="auth",
        uses=("cart", "sellers"),
        stores=("postgres",),
        needs={"sessions": "redis"},
    )


@hookimpl
def settings() -> type[AuthConfig]:
    return AuthConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_auth(context: PluginContext) -> Auth:
    config = context.config(AuthConfig)
    store: AuthStore
    keys: ApiKeyStore
    store, keys = context.store(STORES)
    return AuthService(
        context.units,
        store,
        AllowList(context.redis("sessions")),
        Passwords(config, context.pool("hash", size=config.hash_threads, waiting=config.hash_waiting)),
        context.clock,
        config,
        keys=keys,
        cart=context.optional_port(Cart),
        sellers=context.optional_port(Sellers),
        access_seed=context.key("tokens"),
        refresh_keys=context.keys("refresh_tokens"),
        device_keys=context.keys("devices"),
        api_key_key=context.key("api_keys"),
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Auth))


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
