"""Routes as Quart views. A router can be mounted in anybody's Quart application by its :func:`blueprint`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from msgspec import Struct
from quart import Blueprint, Response, request
from quart import Request as QuartRequest

from marketplace_core import calls
from marketplace_core.calls import Call
from marketplace_core.errors import Invalid, MarketplaceError, NotFound, Problem, Unauthorized
from marketplace_core.http.answers import answerer, is_tagged, tag_of, unless_known
from marketplace_core.http.decoding import body_reader, query_reader
from marketplace_core.http.exchange import Exchange
from marketplace_core.http.gate import Gate, admission, check_scope
from marketplace_core.http.replies import Reply, error_reply
from marketplace_core.http.routing import Request, Route, Router
from marketplace_core.http.sse import EventStream
from marketplace_core.values import AUDIENCES, Audience, Caller

__all__ = ["DEFAULTS", "HttpOptions", "blueprint", "identify", "prefix_of", "to_response"]

NOBODY: dict[Audience, Caller] = {name: Caller(audience=name) for name in AUDIENCES}

MAX_CART_TOKEN = 200
#: Of what a request is about, as far as it is counted by that.
LONGEST_SUBJECT = 256
_KEY = re.compile(rb"[ -~]{1,255}").fullmatch
_CART_TOKEN = re.compile(rb"[!-~]{1,%d}" % MAX_CART_TOKEN).fullmatch


class HttpOptions(Struct, frozen=True, kw_only=True):
    """``open_documents``: whether everybody may read the document of the admin audience, or its staff alone.

    ``ping_seconds``: how often an idle event stream says that it is there. ``body_seconds``: how long a body, and
    each part of it, is waited for; a KiB that has come adds a second."""

    open_documents: bool = True
    ping_seconds: float = 15.0
    body_seconds: float = 20.0


DEFAULTS = HttpOptions()


class _Response(Response):
    default_mimetype = None  # type: ignore[assignment]  # nothing is added to what the route says


View = Callable[..., Awaitable[Response]]


def prefix_of(audience: Audience) -> str:
    return f"/{audience}/v1"


def blueprint(router: Router, gate: Gate, prefix: str | None = None, options: HttpOptions = DEFAULTS) -> Blueprint:
    """The router for a Quart application of any kind, below ``prefix`` (default ``/{audience}/v1``).

    :raises ValueError: a method is declared twice on one path.
    """
    prefix = prefix_of(router.audience) if prefix is None else prefix
    mounted = Blueprint(f"{router.audience}_{router.tag}", __name__, url_prefix=prefix)
    seen: set[tuple[str, str]] = set()
    for route in router.routes:
        if (route.method, route.path) in seen:
            raise ValueError(f"{router.audience} {router.tag}: {route.method} {route.path} is declared twice")
        seen.add((route.method, route.path))
        mounted.add_url_rule(
            re.sub(r"\{(\w+)\}", r"<\1>", route.path),
            f"{route.method}_{len(seen)}",
            _view(route, gate, prefix, options),
            methods=[route.method],
            provide_automatic_options=False,
        )
    return mounted


def to_response(reply: Reply, method: str) -> Response:
    if reply.stream is not None:
        response = _Response(reply.stream, reply.status, reply.headers)  # type: ignore[arg-type]
        response.timeout = None
        return response
    body = None if reply.status in (204, 304) else reply.body
    response = _Response(body, reply.status, reply.headers)  # type: ignore[arg-type]
    if method == "HEAD" and body:
        response.set_data(b"")
        response.content_length = len(body)
    return response


def _view(route: Route, gate: Gate, prefix: str, options: HttpOptions) -> View:
    run = _runner(route, gate, prefix, options)
    proxy = cast(Any, request)

    async def view(**params: str) -> Response:
        current: QuartRequest = proxy._get_current_object()
        exchange = Exchange.of(cast(Any, current.scope))
        exchange.route = route
        try:
            reply = await run(current, exchange, params)
            if reply.stream is not None:
                await _watch(reply.stream, route, gate, exchange)
                await _begin(reply.stream, current.method)
        except Exception as error:
            reply = error_reply(error, exchange.request_id)
        finally:
            for file in exchange.files:
                file.close()
        return to_response(exchange.conclude(reply), current.method)

    return view


async def _watch(stream: EventStream, route: Route, gate: Gate, exchange: Exchange) -> None:
    """Let it begin, for as long as whoever it is for may see what it tells. :raises MarketplaceError: 429."""
    caller, admit = exchange.caller, admission(route)
    exchange.open(stream, (None if caller is None else subject_of(caller)) or exchange.address)
    if caller is None or b"authorization" not in exchange.headers:
        return
    headers = exchange.text_headers()

    async def still() -> None:
        with calls.scope(Call(NOBODY[route.audience], request_id=exchange.request_id, trace=exchange.trace)):
            again = await gate.confirm(route.audience, headers)
            if admit is not None:
                await admit(gate, again)

    stream.ask_again(still)


async def _begin(stream: EventStream, method: str) -> None:
    try:
        await stream.begin()
    except BaseException:
        await stream.aclose()
        raise
    if method == "HEAD":
        await stream.aclose()


def _runner(
    route: Route, gate: Gate, prefix: str, options: HttpOptions
) -> Callable[[QuartRequest, Exchange, dict[str, str]], Awaitable[Reply]]:
    """The route as one function, with everything that does not depend on the request worked out."""
    handler = route.handler
    admit = admission(route)
    is_open = route.access == "open"
    arguments_of = _arguments(route, options.body_seconds)
    reply_with = answerer(route, prefix, options.ping_seconds)
    tagged = is_tagged(route)
    keyed = route.method != "GET" and route.key != "ignored"
    special = route.rate != "general"

    async def run(current: QuartRequest, exchange: Exchange, params: dict[str, str]) -> Reply:
        if is_open:
            caller = NOBODY[route.audience]
            exchange.count()
        else:
            caller = exchange.caller or await identify(gate, route.audience, exchange)
        if admit is not None:
            if caller.api_key is not None:
                check_scope(route.scope, caller)
            with calls.scope(Call(caller, request_id=exchange.request_id, trace=exchange.trace)):
                caller = exchange.caller = await admit(gate, caller)
        call = Call(
            caller=caller,
            key=_key(route, exchange) if keyed else None,
            guest=None if caller.account_id else _shown(route, exchange),
            request_id=exchange.request_id,
            trace=exchange.trace,
            address=exchange.address,
        )
        counted = special and (caller.account_id is None or route.rated_for == "everybody")
        if counted:  # before anything is read: what is one too many costs nothing
            await _count_special(route, exchange, _whose(route, exchange, caller))
        arguments = await arguments_of(current, exchange, params, call)
        if counted and route.subject is not None:
            await _count_special(route, exchange, [f"subject:{route.subject(arguments['body'])[:LONGEST_SUBJECT]}"])
        with calls.scope(call) as outcome:
            try:
                reply = reply_with(await handler(**arguments), exchange)
            except Exception as error:
                reply = error_reply(error, exchange.request_id, prefix)
        if outcome.replayed:
            reply.headers.append(("idempotent-replayed", "true"))
        return await _tagged(reply, route, exchange) if tagged and reply.status == 200 else reply

    return run


def _whose(route: Route, exchange: Exchange, caller: Caller) -> list[str]:
    """Whom a request under a rate of its own is counted for before its body is known."""
    subjects = [] if exchange.address is None else [exchange.address]
    subject = subject_of(caller) if route.subject is None else None
    return subjects if subject is None else [*subjects, subject]


async def _count_special(route: Route, exchange: Exchange, subjects: list[str]) -> None:
    """What is told is the tightest of what was counted. :raises MarketplaceError: 429."""
    if exchange.limiter is not None and exchange.address is not None:
        before, room = exchange.room, await exchange.limiter.special(route.rate, subjects)
        exchange.take(room)
        if before is not None and before.limit == room.limit and before.remaining < room.remaining:
            exchange.room = before


async def _tagged(reply: Reply, route: Route, exchange: Exchange) -> Reply:
    if reply.stream is not None:
        return reply
    tag = tag_of(reply)
    fill = exchange.fill
    if fill is not None and fill.route is route and reply.plain:
        await fill.reads.keep(fill.ticket, tag, reply.body, route.cached_seconds)
    return unless_known(reply, tag, exchange.header(b"if-none-match"))


Arguments = Callable[[QuartRequest, Exchange, dict[str, str], Call], Awaitable[dict[str, Any]]]


def _arguments(route: Route, body_seconds: float) -> Arguments:
    """What the handler is called with; what is wrong with query and body is said together."""
    read_query = query_reader(route)
    wants_query = route.query is not None
    read_body = body_reader(route, body_seconds)

    async def arguments_of(current: QuartRequest, exchange: Exchange, params: dict[str, str], call: Call) -> dict[str, Any]:
        arguments: dict[str, Any] = params
        if params and "\0" in "".join(params.values()):
            raise NotFound()
        problems: list[Problem] = []
        if read_query is not None:
            try:
                query = read_query(current.scope["query_string"])
                if wants_query:
                    arguments["query"] = query
            except Invalid as error:
                problems += error.errors
        if read_body is not None:
            try:
                arguments.update(await read_body(current, exchange))
            except Invalid as error:
                problems += error.errors
        if problems:
            raise Invalid(problems)
        if route.wants_request:
            arguments["request"] = Request(
                call,
                current.method,
                current.path,
                exchange.text_headers(),
                route.audience,
                exchange.header(b"if-match"),
                exchange.address or "",
            )
        return arguments

    return arguments_of


async def identify(
    gate: Gate, audience: Audience, exchange: Exchange, entries: Mapping[str, bytes | None] | None = None
) -> Caller:
    """Who makes the request; it is kept in the exchange, so that the gate is asked once."""
    if b"authorization" not in exchange.headers:
        caller = NOBODY[audience]
    else:
        with calls.scope(Call(NOBODY[audience], request_id=exchange.request_id, trace=exchange.trace)):
            caller = await _known(gate, audience, exchange, entries or {})
    exchange.caller = caller
    exchange.count(subject_of(caller))
    return caller


async def _known(gate: Gate, audience: Audience, exchange: Exchange, entries: Mapping[str, bytes | None]) -> Caller:
    """Guesses are counted by address, or each would be another client and cost a look into the database."""
    limiter, address = exchange.limiter, exchange.address
    if limiter is None or address is None:
        return await gate.identify(audience, exchange.text_headers(), entries)
    if (room := limiter.failing(address)) is not None:
        exchange.take(room)
    try:
        return await gate.identify(audience, exchange.text_headers(), entries)
    except Unauthorized:
        exchange.take(limiter.failed(address))
        raise


def subject_of(caller: Caller) -> str | None:
    """For whom a known caller's requests are counted."""
    if caller.api_key is not None:
        return f"key:{caller.api_key}"
    return None if caller.account_id is None else f"account:{caller.account_id}"


def _key(route: Route, exchange: Exchange) -> str | None:
    """The key with the route's name, which is part of its scope."""
    raw = exchange.headers.get(b"idempotency-key")
    if raw is None:
        if route.key == "required":
            raise MarketplaceError("idempotency.key_required", "Send an Idempotency-Key with this request.")
        return None
    if not _KEY(raw):
        raise MarketplaceError("http.bad_idempotency_key", "An Idempotency-Key is 1 to 255 printable ASCII characters.")
    return f"{route.name}:{raw.decode()}"


def _shown(route: Route, exchange: Exchange) -> str | None:
    """What a guest shows: the token of a cart, else the headers that the route reads, such as the token of an order."""
    if (token := _cart_token(exchange)) is not None:
        return token
    shown = [exchange.headers.get(name.lower().encode(), b"") for name in route.headers]
    return hashlib.sha256(b"\0".join(shown)).hexdigest() if any(shown) else None


def _cart_token(exchange: Exchange) -> str | None:
    raw = exchange.headers.get(b"x-cart-token")
    if raw is None:
        return None
    if not _CART_TOKEN(raw):
        raise MarketplaceError("http.malformed", f"An X-Cart-Token is at most {MAX_CART_TOKEN} printable characters.")
    return raw.decode()
