"""What is seen of a request from outside: a count and a duration by route, and the span that the rest of its trace is below."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prometheus_client import Histogram

from marketplace_core import metrics, tracing
from marketplace_core.http.exchange import Exchange
from marketplace_core.http.routing import Route, Router
from marketplace_core.http.views import prefix_of

__all__ = ["METHODS", "Observed", "ShownPaths", "begin_span", "end_span"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MEDIA = "/media/"


#: What a path may hold besides what our routes have: ids of ours, and short names, such as that of a gateway.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_NAME = re.compile(r"[a-z0-9_-]{1,20}").fullmatch
#: Parts and characters of a path that a log line has at most.
_PARTS, _LENGTH = 16, 60


class ShownPaths:
    """Paths as a log may have them: of a request that failed, too, nobody's token or e-mail stands in one."""

    def __init__(self, routers: Sequence[Router]) -> None:
        paths = [template(route) for router in routers for route in router.routes]
        own = {part for path in paths for part in path.split("/") if not part.startswith("{")}
        self._own = own | {"", "openapi.json", "docs", "media", "healthz", "readyz", "metrics"}

    def path(self, path: str, route: Route | None) -> str:
        if route is not None and "token" in route.params:
            return template(route)
        parts = [self._part(part, routed=route is not None) for part in path.split("/")[:_PARTS]]
        return "/".join(parts)

    def _part(self, part: str, *, routed: bool) -> str:
        if len(part) > _LENGTH:
            return "-"
        return part if part in self._own or _ID(part) or (routed and _NAME(part)) else "-"


class Observed:
    """Requests of one application. The child of a route and a status is looked up once."""

    def __init__(self) -> None:
        self._routed: dict[tuple[int, int], Histogram] = {}
        self._others: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, method: str, path: str, route: Route | None, status: int, seconds: float) -> None:
        """``route`` is None of what has none: pictures, documents, and what was not found."""
        if route is not None:
            child = self._routed.get((id(route), status)) or self._of_route(route, status)
        else:
            key = method if method in METHODS else "other", f"{MEDIA}{{key}}" if path.startswith(MEDIA) else "-", status
            child = self._others.get(key) or self._of_other(*key)
        child.observe(seconds)

    def _of_route(self, route: Route, status: int) -> Histogram:
        labels = route.tag, route.audience, route.method, template(route), str(status)
        child = self._routed[id(route), status] = metrics.HTTP.labels(*labels)
        return child

    def _of_other(self, method: str, route: str, status: int) -> Histogram:
        child = self._others[method, route, status] = metrics.HTTP.labels("-", "-", method, route, str(status))
        return child


def template(route: Route) -> str:
    return prefix_of(route.audience) + route.path


def begin_span(method: str, exchange: Exchange) -> tracing.Span | None:
    """The first of a trace, or below what came with the request; then the exchange's ``traceparent`` is this one's."""
    span = tracing.begin(method, "server", exchange.given_trace or "")
    if span is not None:
        exchange.follow(span.trace)
    return span


def end_span(span: tracing.Span, method: str, exchange: Exchange, status: int) -> None:
    route = exchange.route
    if route is not None:
        span.rename(f"{method} {template(route)}")
    span.note(
        {
            "http.request.method": method,
            "http.route": None if route is None else template(route),
            "http.response.status_code": status,
            "marketplace.request_id": exchange.request_id,
        }
    )
    if status >= 500:
        span.fail(str(status))
    span.end()
