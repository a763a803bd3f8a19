"""What is answered in bare ASGI: health, readiness, metrics, pictures, and each audience's OpenAPI document and its page."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources

import msgspec

from marketplace_core import metrics
from marketplace_core.errors import MarketplaceError, NotFound
from marketplace_core.http.exchange import Exchange
from marketplace_core.http.openapi import document
from marketplace_core.http.replies import Reply, is_fresh, problem_reply
from marketplace_core.http.routing import Router
from marketplace_core.ports import Blobs, content_type_of
from marketplace_core.values import AUDIENCES, Audience, etag

__all__ = ["SILENT", "Direct", "direct_answers", "metrics_reply", "readiness"]

DirectAnswer = Callable[[str, Exchange], Awaitable[Reply]]
Ready = Callable[[], Awaitable[dict[str, str]]]

#: Asked every second by whoever watches, so not worth a line in the log.
SILENT = frozenset({"/healthz", "/readyz", "/metrics"})
MEDIA = "/media/"
FOREVER = "public, max-age=31536000, immutable"
DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
_MEDIA_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9._/-]*").fullmatch


class Direct:
    def __init__(self, answers: dict[str, DirectAnswer], media: Blobs | None) -> None:
        self._answers = answers
        self._media = media

    def find(self, path: str) -> DirectAnswer | None:
        answer = self._answers.get(path)
        if answer is None and self._media is not None and path.startswith(MEDIA):
            return _get(_picture(self._media, path[len(MEDIA) :]))
        return answer


def direct_answers(routers: Sequence[Router], title: str, version: str, ready: Ready, media: Blobs | None) -> Direct:
    answers = {"/healthz": _get(_health), "/readyz": _get(_readiness(ready))}
    for audience in AUDIENCES:
        own = [router for router in routers if router.audience == audience]
        if own:
            answers[f"/{audience}/v1/openapi.json"] = _get(_openapi(audience, own, title, version))
            answers[f"/{audience}/v1/docs"] = _get(_docs())
    return Direct(answers, media)


def _get(answer: Callable[[Exchange], Awaitable[Reply]]) -> DirectAnswer:
    async def run(method: str, exchange: Exchange) -> Reply:
        if method not in ("GET", "HEAD"):
            reply = problem_reply(MarketplaceError("http.method_not_allowed", "Only read this."), exchange.request_id)
            reply.headers.append(("allow", "GET, HEAD"))
            return reply
        reply = await answer(exchange)
        reply.headers.append(("x-request-id", exchange.request_id))
        return reply

    return run


def _fixed(reply: Reply, exchange: Exchange, tag: str) -> Reply:
    known = exchange.header(b"if-none-match")
    if known is not None and is_fresh(known, tag):
        return Reply(304, [("etag", tag)])
    return Reply(reply.status, [*reply.headers, ("etag", tag)], reply.body)


async def _health(_: Exchange) -> Reply:
    return Reply(200, [("content-type", "application/json"), ("cache-control", "no-store")], b'{"status":"ok"}')


async def metrics_reply(_: Exchange) -> Reply:
    """To those who are near only: see :meth:`~marketplace_core.http.addresses.Addresses.is_near`."""
    headers = [("content-type", metrics.CONTENT_TYPE), ("cache-control", "no-store")]
    return Reply(200, headers, await metrics.exposition())


async def readiness(ready: Ready) -> tuple[int, bytes]:
    """Status and body of ``/readyz``."""
    resources = await ready()
    return 200 if all(state == "ok" for state in resources.values()) else 503, msgspec.json.encode(resources)


def _readiness(ready: Ready) -> Callable[[Exchange], Awaitable[Reply]]:
    async def run(_: Exchange) -> Reply:
        status, body = await readiness(ready)
        return Reply(status, [("content-type", "application/json"), ("cache-control", "no-store")], body)

    return run


def _picture(blobs: Blobs, key: str) -> Callable[[Exchange], Awaitable[Reply]]:
    async def run(exchange: Exchange) -> Reply:
        content = await blobs.get(key) if _MEDIA_KEY(key) else None
        if content is None:
            raise NotFound("There is no such picture.")
        headers = [
            ("content-type", content_type_of(key)),
            ("cache-control", FOREVER),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
        ]
        return _fixed(Reply(200, headers, content), exchange, f'"{key}"')  # a key is written once, so it is its own tag

    return run


def _openapi(audience: Audience, routers: Sequence[Router], title: str, version: str) -> Callable[[Exchange], Awaitable[Reply]]:
    @functools.cache  # encoded once, and not before somebody asks
    def encoded() -> tuple[bytes, str]:
        body = msgspec.json.encode(document(audience, routers, title, version))
        return body, etag(body)

    async def run(exchange: Exchange) -> Reply:
        body, tag = encoded()
        return _fixed(Reply(200, [("content-type", "application/json")], body), exchange, tag)

    return run


def _docs() -> Callable[[Exchange], Awaitable[Reply]]:
    body = resources.files(__package__).joinpath("docs.html").read_bytes()
    tag = etag(body)
    headers = [("content-type", "text/html; charset=utf-8"), ("content-security-policy", DOCS_POLICY)]

    async def run(exchange: Exchange) -> Reply:
        return _fixed(Reply(200, headers, body), exchange, tag)

    return run
