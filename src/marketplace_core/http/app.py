"""The ASGI application of a process: what is answered at once, and Quart behind it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from typing import Any, cast, get_args

import structlog
from quart import Quart, Response, request
from quart.sessions import SessionInterface
from werkzeug.exceptions import HTTPException

from marketplace_core import calls, tracing
from marketplace_core.adapters.redis.reads import EncodedReads, Read
from marketplace_core.errors import Forbidden, MarketplaceError, NotFound, Unauthorized
from marketplace_core.http._bodies import Body, Receive, has_body
from marketplace_core.http.addresses import Addresses
from marketplace_core.http.answers import NO_STORE
from marketplace_core.http.direct import SILENT, Direct, direct_answers, metrics_reply
from marketplace_core.http.exchange import GUARDED, POLICY, Exchange, Fill
from marketplace_core.http.gate import NOT_FOR_ROLE, Gate
from marketplace_core.http.limits import RateLimiter
from marketplace_core.http.observing import METHODS, Observed, ShownPaths, begin_span, end_span
from marketplace_core.http.public import PublicReads, path_pattern
from marketplace_core.http.replies import Reply, Send, error_reply, is_fresh, send_reply
from marketplace_core.http.routing import JSON_LIMIT, Role, Router
from marketplace_core.http.sse import Streams
from marketplace_core.http.types import check_answers
from marketplace_core.http.views import DEFAULTS, HttpOptions, blueprint, identify, to_response
from marketplace_core.ports import Blobs
from marketplace_core.values import Audience

__all__ = ["Application", "HttpOptions", "build_app"]

log = structlog.get_logger("marketplace.access")

Scope = MutableMapping[str, Any]

_READS = frozenset({"GET", "HEAD"})
METRICS = "/metrics"


def build_app(
    routers: Sequence[Router],
    *,
    gate: Gate,
    reads: EncodedReads | None = None,
    title: str,
    version: str,
    ready: Callable[[], Awaitable[dict[str, str]]],
    media: Blobs | None = None,
    options: HttpOptions = DEFAULTS,
    limits: tuple[RateLimiter, Addresses] | None = None,
    metrics: bool = True,
) -> Application:
    """The routers of any audiences, each below ``/{audience}/v1``, as one application.

    ``ready`` says of each resource ``ok`` or what is wrong with it. ``media`` is what ``/media/`` shows to everybody.
    ``limits``: None where nobody is limited. ``metrics``: whether ``/metrics`` is answered, to who is near.

    :raises ValueError: two routes are the same. :raises TypeError: an answer leaves fields out.
    """
    _refuse_duplicates(routers)
    check_answers(routers)
    quart = _quart(routers, gate, options)
    guard = None if options.open_documents else partial(_check_staff, gate)
    direct = direct_answers(routers, title, version, ready, media, guard)
    return Application(quart, direct, PublicReads(routers, reads), gate, routers, limits, metrics)


async def _check_staff(gate: Gate, exchange: Exchange) -> None:
    """:raises Unauthorized, Forbidden: whoever asks has no role of the admin audience."""
    caller = await identify(gate, "admin", exchange)
    if caller.account_id is None:
        raise Unauthorized("auth.required", "Log in first.")
    if set(get_args(Role)).isdisjoint(caller.roles):
        raise Forbidden("auth.forbidden", NOT_FOR_ROLE)


def _refuse_duplicates(routers: Sequence[Router]) -> None:
    seen: dict[tuple[Audience, str, str], str] = {}
    for router in routers:
        for route in router.routes:
            shape = "/".join("{}" if part.startswith("{") else part for part in route.path.split("/"))
            other = seen.setdefault((route.audience, route.method, shape), route.name)
            if other is not route.name:
                raise ValueError(f"{route.audience}: {route.method} {route.path} is of {other} and of {route.name}")


class _NoSessions(SessionInterface):
    async def open_session(self, app: Quart, request: Any) -> Any:
        return await self.make_null_session(app)

    async def save_session(self, app: Quart, session: Any, response: Any) -> None:
        return None


def _quart(routers: Sequence[Router], gate: Gate, options: HttpOptions) -> Quart:
    app = Quart("marketplace", static_folder=None)
    app.session_interface = cast(Any, _NoSessions())
    app.config["MAX_CONTENT_LENGTH"] = None  # each route has its own
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.register_error_handler(HTTPException, _failed)
    app.register_error_handler(Exception, _failed)
    for router in routers:
        app.register_blueprint(blueprint(router, gate, options=options))
    return app


async def _failed(error: Exception) -> Response:
    """What Quart itself refuses: an unknown route, a wrong method."""
    exchange = Exchange.of(request.scope)  # type: ignore[arg-type]
    try:
        exchange.count()  # whoever brings a token gets here uncounted
    except MarketplaceError as refusal:
        error = refusal
    return to_response(exchange.conclude(error_reply(error, exchange.request_id)), request.method)


class Application:
    """ASGI. ``quart`` is the application behind, for what wants to be told of the beginning and end of serving."""

    def __init__(
        self,
        quart: Quart,
        direct: Direct,
        public: PublicReads,
        gate: Gate,
        routers: Sequence[Router],
        limits: tuple[RateLimiter, Addresses] | None,
        metrics: bool,
    ) -> None:
        self.quart = quart
        self._observed = Observed()
        self._addresses = limits[1] if limits is not None else Addresses((), ())
        self._metrics = metrics
        self._limits = limits
        self._direct = direct
        self._public = public
        self._gate = gate
        self._large = _large_routes(routers)
        self._shown = ShownPaths(routers)
        self._streams = Streams()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def drained(self) -> None:
        """Until no request is under way: a server that has stopped may have left some to their end."""
        await self._idle.wait()

    def close(self) -> None:
        """End the streams that are open. To be called before the server is stopped: it waits for every answer to end."""
        for stream in self._streams:
            stream.end()
        if self._limits is not None:
            self._limits[0].close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.quart(scope, receive, send)  # type: ignore[arg-type]
            return
        started = time.perf_counter()
        self._under_way += 1
        self._idle.clear()
        exchange = Exchange(scope)
        exchange.streams = self._streams
        method: str = scope["method"]
        path: str = scope["path"]
        span = begin_span(method, exchange) if tracing.is_on() and path not in SILENT else None
        if has_body(scope, exchange.headers):
            body = exchange.body = Body(receive, send, JSON_LIMIT, partial(self._limit_of, scope))
            receive, send = body.receive, body.send
        try:
            if (reply := await self._reply_directly(scope, exchange)) is not None:
                await self._send(reply, exchange, method, send)
            else:
                await self._answer_request(scope, exchange, receive, send)
        except Exception as error:
            if exchange.status is not None:
                raise
            await self._send(error_reply(error, exchange.request_id), exchange, method, send)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
            await exchange.close()
            if path not in SILENT:
                self._observe(method, path, exchange, time.perf_counter() - started, span)

    async def _reply_directly(self, scope: Scope, exchange: Exchange) -> Reply | None:
        """What is answered without a word about who asks."""
        method, path = scope["method"], scope["path"]
        if not path.startswith("/"):  # CONNECT names a host, and OPTIONS may ask for *
            raise NotFound("There is no such route.")
        if path == METRICS and self._metrics and method == "GET" and self._addresses.is_near(scope):
            return await metrics_reply(exchange)
        if path.startswith("//"):  # the routing would take it for one slash, which the rules of a proxy do not
            raise NotFound("There is no such route.")
        answer = self._direct.find(path)
        return None if answer is None else await answer(method, exchange)

    async def _answer_request(self, scope: Scope, exchange: Exchange, receive: Receive, send: Send) -> None:
        if self._limits is not None:
            exchange.limiter, addresses = self._limits
            exchange.address = addresses.subject(scope)
            if b"authorization" not in exchange.headers:
                exchange.count()
        if scope["method"] in _READS and await self._answer_read(scope, exchange, send):
            return
        await self.quart(scope, receive, send)  # type: ignore[arg-type]
        if exchange.status is None:
            # The client has gone, or its body was in chunks that are none: the server tells us of both alike.
            broken = MarketplaceError("http.malformed", "The body ended before it was whole.")
            with contextlib.suppress(Exception):
                await send_reply(error_reply(broken, exchange.request_id), scope["method"], send)

    def _observe(self, method: str, path: str, exchange: Exchange, seconds: float, span: tracing.Span | None) -> None:
        status = 499 if exchange.status is None else exchange.status  # 499: the client went away
        self._observed.observe(method, path, exchange.route, status, seconds)
        if span is not None:
            end_span(span, method, exchange, status)
        _log(method, self._shown.path(path, exchange.route), exchange, status, seconds)

    async def _send(self, reply: Reply, exchange: Exchange, method: str, send: Send) -> None:
        await send_reply(exchange.conclude(reply), method, send)

    async def _answer_read(self, scope: Scope, exchange: Exchange, send: Send) -> bool:
        """Answer from the encoded reads; else leave in the exchange what the view needs to fill them."""
        found = self._public.find(scope["path"], scope["query_string"])
        if found is None:
            return False
        route, reads, key, tag = found
        authorization = exchange.header(b"authorization")
        if route.cached_for == "guests" and (authorization is not None or b"x-cart-token" in exchange.headers):
            return False
        if authorization is None:
            read = await reads.look(key, route.tag, tag)
        else:
            read = await reads.look(key, route.tag, tag, self._gate.extra_keys(authorization))
            await identify(self._gate, route.audience, exchange, read.entries)
        if read.etag is None:
            if read.ticket is not None:
                exchange.fill = Fill(route, reads, read.ticket)
            return False
        exchange.route = route
        await _send_read(read, exchange, scope["method"], send)
        return True

    def _limit_of(self, scope: Scope) -> int:
        limits = (
            limit for method, pattern, limit in self._large if method == scope["method"] and pattern.fullmatch(scope["path"])
        )
        return max(limits, default=JSON_LIMIT)


def _large_routes(routers: Sequence[Router]) -> list[tuple[str, re.Pattern[str], int]]:
    return [
        (route.method, path_pattern(route), route.ceiling)
        for router in routers
        for route in router.routes
        if route.ceiling > JSON_LIMIT
    ]


async def _send_read(read: Read, exchange: Exchange, method: str, send: Send) -> None:
    tag = cast(str, read.etag)
    for_all = exchange.route is None or exchange.route.access == "anyone"
    added = (*GUARDED, POLICY) if for_all else (*GUARDED, POLICY, NO_STORE)
    headers = [(b"x-request-id", exchange.request_id.encode()), (b"etag", tag.encode())]
    headers += [(name.encode(), value.encode()) for name, value in added]
    known = exchange.header(b"if-none-match")
    if known is not None and is_fresh(known, tag):
        exchange.status, body = 304, b""
    else:
        exchange.status, body = 200, read.body
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if exchange.room is not None:
        headers += [(name.encode(), value.encode()) for name, value in exchange.room.headers()]
    await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _log(method: str, path: str, exchange: Exchange, status: int, seconds: float) -> None:
    route, caller = exchange.route, exchange.caller
    log.info(
        "request",
        method=method if method in METHODS else "other",
        path=path,
        status=status,
        ms=round(seconds * 1000, 2),
        request_id=exchange.request_id,
        trace_id=calls.trace_id(exchange.trace),
        audience=route.audience if route is not None else None,
        account=caller.account_id if caller is not None else None,
    )
