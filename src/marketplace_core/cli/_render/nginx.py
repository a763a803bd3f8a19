"""nginx: the front one, one for each public client behind it, and one for each internal host, a configuration each."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import asdict

from marketplace_core.cli._render.facts import WRITTEN, Facts, Places
from marketplace_core.cli._render.templates import fill
from marketplace_core.deployment import Edge
from marketplace_core.http.public import path_pattern
from marketplace_core.http.routing import JSON_LIMIT, Route

__all__ = ["configurations", "render"]

#: What pages send beside what every page may, and what they are shown of an answer.
_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Cart-Token",
    "X-Device-Token",
    "X-Order-Token",
    "X-Request-Id",
    "traceparent",
)
_ANSWER_HEADERS = (
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-Id",
)
#: Of all connections that a gateway takes, those that one address may have.
_SHARE = 16


def render(facts: Facts) -> dict[str, str]:
    """As the file says where everything is. :raises Failed: no client has a public host."""
    return configurations(facts, WRITTEN)


def configurations(facts: Facts, places: Places) -> dict[str, str]:
    """A whole ``nginx.conf`` of each proxy, by path."""
    public = [_client(facts, edge, places) for edge in facts.public]
    found = {"front/nginx.conf": fill("nginx/front.conf.j2", p=_proxy(facts, places, public, "front/nginx.conf"))}
    for client in public:
        path = f"{client['name']}/nginx.conf"
        found[path] = fill("nginx/client.conf.j2", p=_proxy(facts, places, [client], path), edge=client)
    for client in (_client(facts, edge, places) for edge in facts.internal):
        path = f"{client['name']}/nginx.conf"
        found[path] = fill("nginx/internal.conf.j2", p=_proxy(facts, places, [client], path), edge=client)
    return found


def _proxy(facts: Facts, places: Places, clients: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """What holds for all hosts of one proxy."""
    deployment = facts.deployment
    edges = [deployment.edge[client["name"]] for client in clients]
    general = deployment.limits.rates["general"]
    return {
        "name": deployment.name,
        "path": path,
        "limits": deployment.limits,
        "listen": places.front(deployment),
        "tls": any(edge.tls for edge in edges),
        "certificate": {edge.name: places.certificate(edge) for edge in edges},
        "trusted": deployment.trusted_proxies,
        "rate": max(1, general.requests * 60 // general.seconds),
        "burst": general.requests,
        "connections": max(16, deployment.limits.connections // _SHARE),
        "cache_seconds": deployment.front.cache_seconds,
        "request_headers": ", ".join(_REQUEST_HEADERS),
        "answer_headers": ", ".join(_ANSWER_HEADERS),
        "methods": {edge.name: _methods(edge) for edge in edges},
        "hidden": _hidden(facts),
        "edges": clients,
    }


def _methods(edge: Edge) -> str:
    return "GET, HEAD" if edge.reads_only else "GET, HEAD, POST, PUT, PATCH, DELETE"


def _client(facts: Facts, edge: Edge, places: Places) -> dict[str, Any]:
    gateways = facts.gateways_of(edge)
    routes = facts.routes_of(gateways)
    upstream = {gateway.name: f"gateway_{_variable(gateway.name)}" for gateway in gateways}
    by_audience = {audience: upstream[gateway.name] for gateway in reversed(gateways) for audience in gateway.audiences}
    reads = [route for route in routes if _is_public_read(route)]
    kept = [route for route in reads if _is_kept(route)] if facts.deployment.front.cache_seconds else []
    return {
        **asdict(edge),
        "variable": _variable(edge.name),
        "listen": places.client(edge),
        "at": places.client_at(edge),
        "upstreams": [(upstream[gateway.name], places.gateway_at(gateway)) for gateway in gateways],
        "audiences": sorted(by_audience.items()),
        "buyer": by_audience.get("buyer", upstream[gateways[0].name]),
        "media": upstream[gateways[0].name],
        "cached": _pattern(kept) if kept else "",
        "reads": _pattern([route for route in reads if route not in kept]),
        "large": _large(routes),
        "most": max((route.ceiling for route in routes), default=JSON_LIMIT),
    }


def _variable(name: str) -> str:
    return name.replace("-", "_")


def _is_public_read(route: Route) -> bool:
    """What is answered to nobody in particular."""
    return route.method == "GET" and route.audience == "buyer" and route.access in ("anyone", "guest")


def _is_kept(route: Route) -> bool:
    """Whether its answer is the same for all, for as long as it is true."""
    return route.access == "anyone" and route.cached is not None and route.cached_for == "everybody"


def _pattern(routes: list[Route]) -> str:
    """Of their paths, as nginx has it: quoted, for braces and semicolons would end it."""
    paths = sorted({re.sub(r"\?P<\w+>", "?:", path_pattern(route).pattern) for route in routes})
    return f'"^(?:{"|".join(paths)})$"'


def _large(routes: list[Route]) -> list[tuple[str, int]]:
    ceilings = sorted({route.ceiling for route in routes if route.ceiling > JSON_LIMIT})
    return [(_pattern([route for route in routes if route.ceiling == ceiling]), ceiling) for ceiling in ceilings]


def _hidden(facts: Facts) -> list[str]:
    """The beginnings of paths that end in a token."""
    found = [route for routes in facts.routes.values() for route in routes if "{token}" in route.path]
    return sorted({f"/{route.audience}/v1{route.path.partition('{token}')[0]}" for route in found})
