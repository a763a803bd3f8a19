"""The users plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.users import Users
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Migration, PluginInfo, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_core.http.users import users_routers
from marketplace_users import worker
from marketplace_users.config import UsersConfig
from marketplace_users.service import UsersService

STORES = {"postgres": "marketplace_users.stores.postgres:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="users", version="0.1.0", provides="users", requires=("auth",), stores=("postgres",))


@hookimpl
def settings() -> type[UsersConfig]:
    return UsersConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_users(context: PluginContext) -> Users:
    return UsersService(context.units, context.store(STORES), context.port(Auth), context.config(UsersConfig))


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return users_routers(context.port(Users))


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS
