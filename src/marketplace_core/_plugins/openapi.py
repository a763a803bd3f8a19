"""An audience's OpenAPI document from a deployment file alone, the same as its gateway serves."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any, cast

from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.operator_routes import operations_router
from marketplace_core.deployment import Loaded, load_all
from marketplace_core.http.openapi import document
from marketplace_core.http.routing import Route, Router
from marketplace_core.values import Audience

__all__ = ["describe", "routes_in", "routes_of"]


def describe(file: str | os.PathLike[str], audience: Audience) -> dict[str, Any]:
    """:raises DeploymentErrors: the file has problems."""
    loaded = load_all(file, secrets=False)
    return document(audience, _routers(loaded, audience), loaded.deployment.name, metadata.version("marketplace-core"))


def routes_of(file: str | os.PathLike[str], audience: Audience) -> list[Route]:
    """What an audience of a deployment is answered: to be looked at, and not to be called."""
    return routes_in(load_all(file, secrets=False), audience)


def routes_in(loaded: Loaded, audience: Audience) -> list[Route]:
    """Likewise of a deployment that is read already."""
    return [route for router in _routers(loaded, audience) for route in router.routes]


def _routers(loaded: Loaded, audience: Audience) -> list[Router]:
    routers = []
    for name, declared in loaded.declared.items():
        router = Router(audience, name)
        router.routes = [route for route in declared.routes if route.audience == audience]
        if router.routes:
            routers.append(router)
    if audience == "admin":
        routers.append(operations_router(cast(Process, None)))
    return routers
