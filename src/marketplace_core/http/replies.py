"""Answers as status, headers and bytes; and errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from marketplace_core.errors import MarketplaceError, NotFound, Problem, Unavailable
from marketplace_core.http.sse import EventStream

__all__ = ["ProblemDetails", "Reply", "error_reply", "is_fresh", "problem_reply", "send_reply"]

log = structlog.get_logger("marketplace.http")

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[str, str]]


class Reply(Struct, gc=False):
    """``stream`` instead of ``body`` where the end is not known yet. ``plain``: JSON with no header of its own."""

    status: int
    headers: Headers
    body: bytes = b""
    stream: EventStream | None = None
    plain: bool = False


class ProblemDetails(Struct, frozen=True, kw_only=True):
    """What every error looks like. Clients switch on ``code`` only; ``errors`` names the fields that are not valid.
    ``more``: others are not valid besides."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: tuple[Problem, ...] = ()
    more: bool = False


#: What Quart and Werkzeug refuse by themselves.
_CODES = {
    400: "http.malformed",
    404: "http.not_found",
    405: "http.method_not_allowed",
    408: "http.timeout",
    413: "http.too_large",
    415: "http.unsupported_media_type",
}


def problem_reply(error: MarketplaceError, request_id: str, prefix: str = "") -> Reply:
    status = error.status
    details = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        code=error.code,
        detail=error.detail,
        request_id=request_id,
        errors=error.errors,
        more=error.more,
    )
    headers = [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("x-request-id", request_id),
    ]
    if error.retry_after is not None:
        headers.append(("retry-after", str(error.retry_after)))
    if error.location is not None:
        headers.append(("location", prefix + error.location))
    if status == 401:
        headers.append(("www-authenticate", "Bearer"))
    return Reply(status, headers, msgspec.json.encode(details))


def error_reply(error: Exception, request_id: str, prefix: str = "") -> Reply:
    """The answer to any exception; one that nobody foresaw is logged and says nothing of itself.

    ``prefix``: what a location is below.
    """
    if isinstance(error, MarketplaceError):
        if error.status == 500:
            log.error("request failed", request_id=request_id, code=error.code, exc_info=error)
        return problem_reply(error, request_id, prefix)
    if isinstance(error, TimeoutError):
        log.warning("request timed out", request_id=request_id, exc_info=error)
        return problem_reply(Unavailable("It took too long; please come again."), request_id)
    if isinstance(error, HTTPException):
        return _http_reply(error, request_id)
    log.error("request failed", request_id=request_id, exc_info=error)
    detail = "Something went wrong here; the request's id leads to it."
    return problem_reply(MarketplaceError("http.internal", detail), request_id)


def _http_reply(error: HTTPException, request_id: str) -> Reply:
    code = _CODES.get(error.code or 500)
    if code is None:
        return error_reply(RuntimeError(f"unforeseen {error!r}"), request_id)
    if code == "http.not_found":
        return problem_reply(NotFound("There is no such route."), request_id)
    reply = problem_reply(MarketplaceError(code, error.description or ""), request_id)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        reply.headers.append(("allow", ", ".join(sorted(error.valid_methods))))
    return reply


def is_fresh(if_none_match: str, etag: str) -> bool:
    """Whether the client has what ``etag`` names already (RFC 9110, weak comparison)."""
    if if_none_match == etag:
        return True
    bare = etag.removeprefix("W/")
    return any(tag in ("*", bare) for tag in (part.strip().removeprefix("W/") for part in if_none_match.split(",")))


async def send_reply(reply: Reply, method: str, send: Send) -> None:
    """Answer in bare ASGI."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
    if reply.status != 304:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})
