"""Bodies and errors at the HTTP edge."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

__all__ = [
    "Currency",
    "Money",
    "Name",
    "Page",
    "Price",
    "Refused",
    "body_of",
    "errors",
    "json_response",
    "number_of",
    "page_of",
]

S = TypeVar("S")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: A reference, a key, a place: short text without control characters.
Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]

Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]

_log = logging.getLogger(__name__)
_PAGE = 1000


class Money(Struct, frozen=True, forbid_unknown_fields=True):
    """Minor units and an ISO 4217 code."""

    amount: Annotated[int, Meta(ge=0, le=2**54)]
    currency: Currency


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """Money of which there must be some."""

    amount: Annotated[int, Meta(gt=0, le=2**54)]
    currency: Currency


class Page(Struct, frozen=True):
    """Where a listing goes on, and how much of it is wanted."""

    after: int
    limit: int


class Refused(Exception):
    """An answer of 400 or more: ``{"code", "detail"}``."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"code": self.code, "detail": self.detail})


async def body_of(request: web.Request, kind: type[S]) -> S:
    """The JSON body as ``kind``; an empty body counts as ``{}``."""
    raw = await request.read() or b"{}"
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(422, "validation", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, "malformed", f"the body is not JSON: {error}") from error


def number_of(request: web.Request, name: str, default: int, *, at_least: int) -> int:
    """A whole number from the query."""
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 15 or int(text) < at_least:
        raise Refused(422, "validation", f"?{name} is a whole number from {at_least}")
    return int(text)


def page_of(request: web.Request) -> Page:
    return Page(
        after=number_of(request, "after", 0, at_least=0),
        limit=min(number_of(request, "limit", _PAGE, at_least=1), _PAGE),
    )


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(body=raw, status=status, content_type="application/json", headers=headers)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal in one shape, a mistake of ours as a plain 500."""
    try:
        return await handler(request)
    except Refused as error:
        headers = {"Retry-After": "1"} if error.status == 503 else None
        return json_response(error.body, error.status, headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        code = error.reason.lower().replace(" ", "_")
        return json_response({"code": code, "detail": error.reason}, error.status, headers)
    except Exception:
        _log.exception("%s %s", request.method, request.path)
        return json_response({"code": "internal", "detail": "a mistake of the simulator"}, 500)
