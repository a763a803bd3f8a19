"""A deployment file without a mistake, plugins to go with it, and what is wrong with others."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from marketplace_core.deployment import Deployment, DeploymentErrors, load
from marketplace_core.hookspecs import PluginInfo, hookimpl


class CatalogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    page_ttl: int = 60
    token: str = ""
    sizes: list[int] = []


class Installed:
    """What an entry point is to us."""

    def __init__(self, plugin: object) -> None:
        self._plugin = plugin

    def load(self) -> object:
        if isinstance(self._plugin, Exception):
            raise self._plugin
        return self._plugin


def plugin(name: str, provides: str | None = None, *, settings: type[Struct] | None = None, **info: Any) -> Installed:
    made = types.ModuleType(f"marketplace_{name}")

    @hookimpl
    def info_() -> PluginInfo:
        return PluginInfo(name=name, version="1.0", provides=provides, **info)

    made.info = info_  # type: ignore[attr-defined]
    if provides:

        @hookimpl
        def provide(context: object) -> object:
            raise AssertionError("no service is made by a check")

        setattr(made, f"provide_{provides}", provide)
    if settings:

        @hookimpl
        def settings_() -> type[Struct]:
            return settings

        made.settings = settings_  # type: ignore[attr-defined]
    return Installed(made)


INSTALLED: dict[str, Installed] = {
    "auth": plugin("auth", "auth", stores=("postgres",), needs={"sessions": "redis"}),
    "catalog": plugin("catalog", "catalog", stores=("postgres",), settings=CatalogSettings),
    "orders": plugin("orders", "orders", stores=("postgres",), requires=("catalog",)),
    "orchestrator": plugin("orchestrator", "orchestrator", requires=("orders",)),
    "coupons": plugin("coupons", requires=("orders",)),
    "other_catalog": plugin("other_catalog", "catalog", stores=("postgres",)),
    "future": plugin("future", core=">=7"),
    "lonely": plugin("lonely", requires=("users",)),
    "wishes": plugin("wishes", stores=("postgres",), emits=("catalog",)),
    "vendor": Installed(ImportError("No module named 'vendorlib'; is it installed?")),
}


GOOD = """
[deployment]
name = "atlas"
profile = "test"
currency = "EUR"
secret = "env:ATLAS_SECRET"
trusted_proxies = ["10.0.0.0/8"]

[resources]
main = "embedded:postgres"
lasting = "embedded:redis"
cache = { url = "embedded:redis", role = "cache" }
files = "embedded:folder"

[plugins.auth]
[plugins.catalog]
page_ttl = 30
[plugins.orders]
[plugins.orchestrator]
[plugins.coupons]

[services.shop]
plugins = ["auth", "catalog"]
internal = "127.0.0.1:8101"
[services.trade]
plugins = ["orders", "orchestrator"]
internal = "127.0.0.1:8102"

[gateways.buyer]
audience = "buyer"
listen = "127.0.0.1:8000"
service = "shop"
[gateways.admin]
audiences = ["admin", "logistics"]
listen = "127.0.0.1:8001"

[simulators.payments]
[edge.web]
host = "shop.example"
gateways = ["buyer"]
"""


def loaded(path: Path, found: Mapping[str, Installed] = INSTALLED, *, secrets: bool = True) -> Deployment:
    return load(path, secrets=secrets, found=found)


def problems(path: Path, *, secrets: bool = True) -> list[str]:
    try:
        loaded(path, secrets=secrets)
    except DeploymentErrors as errors:
        prefix = f"{path}: "
        assert all(str(problem).startswith(prefix) for problem in errors.problems)
        return [str(problem).removeprefix(prefix) for problem in errors.problems]
    return []


def assert_told(lines: list[str], expected: list[str]) -> None:
    left = list(lines)
    for start in expected:
        told = [line for line in left if line.startswith(start)]
        assert told, f"{start!r} is not among\n" + "\n".join(left)
        left.remove(told[0])
    assert left == []
    assert all(line.count("; ") >= 1 and "\n" not in line for line in lines)
