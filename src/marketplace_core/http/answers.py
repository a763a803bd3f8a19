"""From what a handler returns to status, headers and bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_origin
from urllib.parse import quote

import msgspec

from marketplace_core.http.exchange import Exchange
from marketplace_core.http.replies import Headers, Reply, is_fresh
from marketplace_core.http.routing import Answer, Content, Redirect, Route, ServerSentEvents
from marketplace_core.http.sse import EventStream
from marketplace_core.values import Page, etag

__all__ = ["NO_STORE", "answer_type", "answerer", "is_tagged", "tag_of", "unless_known"]

Answerer = Callable[[Any, Exchange], Reply]

JSON = "application/json"
#: Of what is not the same for all: neither a proxy nor a browser keeps it.
NO_STORE = ("cache-control", "no-store")


def answer_type(route: Route) -> Any:
    """What the JSON of a route's answer is made from: the annotation without its :class:`Answer`."""
    kind = route.answer
    return get_args(kind)[0] if get_origin(kind) is Answer else kind


def is_tagged(route: Route) -> bool:
    """Whether answers carry an ``ETag``: reads of one thing, and public lists."""
    kind = answer_type(route)
    bare = get_origin(kind) or kind
    is_page = isinstance(bare, type) and issubclass(bare, Page)
    return route.method == "GET" and (route.access == "anyone" or route.cached is not None or not is_page)


def answerer(route: Route, prefix: str, ping_seconds: float) -> Answerer:
    """Makes the replies of one route; ``prefix`` is what a location is below."""
    encode = msgspec.json.Encoder().encode
    status_of_value = 200 if route.status == 204 else route.status
    kept_by_nobody: Headers = [] if route.access == "anyone" else [NO_STORE]
    status_of_nothing = 204 if route.status in (200, 201) else route.status

    def reply(value: Any, exchange: Exchange) -> Reply:
        headers: Headers = [("x-request-id", exchange.request_id), *kept_by_nobody]
        status: int | None = None
        if isinstance(value, Answer):
            status = value.status
            if value.location is not None:
                headers.append(("location", prefix + value.location))
            headers += value.headers.items()
            value = value.value
        if value is None:
            return Reply(status or status_of_nothing, headers)
        if isinstance(value, Redirect):
            headers.append(("location", prefix + value.location))
            return Reply(301, headers)
        if isinstance(value, ServerSentEvents):
            headers += _STREAM_HEADERS
            return Reply(200, headers, stream=EventStream(value.events, ping_seconds, exchange.request_id))
        if isinstance(value, Content):
            body = value.body
            headers += _content_headers(value)
        else:
            body = encode(value)
            headers.append(("content-type", JSON))
        return Reply(status or status_of_value, headers, body, plain=len(headers) == 2 + len(kept_by_nobody))

    return reply


_STREAM_HEADERS: Headers = [
    ("content-type", "text/event-stream"),
    ("x-accel-buffering", "no"),  # nginx would keep events back until its buffer is full
]


def tag_of(reply: Reply) -> str:
    """The reply's ``ETag``: the handler's, else a new one, which is added."""
    for name, value in reply.headers:
        if name.lower() == "etag":
            return value
    tag = etag(reply.body)
    reply.headers.append(("etag", tag))
    return tag


def unless_known(reply: Reply, tag: str, if_none_match: str | None) -> Reply:
    """304 for a client that has it."""
    if if_none_match is None or not is_fresh(if_none_match, tag):
        return reply
    return Reply(304, [header for header in reply.headers if header[0] != "content-type"])


def _content_headers(content: Content) -> Headers:
    headers = [("content-type", content.media_type)]
    if content.filename is not None:
        headers.append(("content-disposition", f"attachment; filename*=UTF-8''{quote(content.filename, safe='')}"))
    return headers
