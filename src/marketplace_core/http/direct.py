"""What is answered in bare ASGI: health, readiness, metrics, pictures, and each audience's OpenAPI document and its page."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Sequence
from importlib import metadata, resources
from pathlib import Path

import msgspec

from marketplace_core import metrics as measured
from marketplace_core.errors import MarketplaceError, NotFound
from marketplace_core.http.exchange import Exchange
from marketplace_core.http.openapi import document
from marketplace_core.http.replies import Reply, is_fresh, problem_reply
from marketplace_core.http.routing import Router
from marketplace_core.ports import Blobs, content_type_of
from marketplace_core.ports.stores import FOREVER
from marketplace_core.values import AUDIENCES, Audience, etag

__all__ = ["SILENT", "Direct", "direct_answers", "metrics_reply", "readiness"]

DirectAnswer = Callable[[str, Exchange], Awaitable[Reply]]
Ready = Callable[[], Awaitable[dict[str, str]]]
Guard = Callable[[Exchange], Awaitable[None]]

#: Asked every second by whoever watches, so not worth a line in the log.
SILENT = frozenset({"/healthz", "/readyz", "/metrics"})
MEDIA = "/media/"
#: What people have sent is for nobody's eyes before it is drawn anew.
AS_IT_CAME = "uploads/"
#: Swagger UI sets styles of elements, and has its icons in its stylesheet.
DOCS_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
#: Where the wheel of swagger-ui-py has it; by its file, since nothing of the package is to be run.
_SWAGGER_UI = ("swagger-ui.css", "swagger-ui-bundle.js")
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


def direct_answers(
    routers: Sequence[Router], title: str, version: str, ready: Ready, media: Blobs | None, guard: Guard | None = None
) -> Direct:
    """``guard``: raises what keeps somebody from the document of the admin audience."""
    answers = {"/healthz": _get(_health), "/readyz": _get(_readiness(ready))}
    for audience in AUDIENCES:
        own = [router for router in routers if router.audience == audience]
        if own:
            guarded = guard if audience == "admin" else None
            answers[f"/{audience}/v1/openapi.json"] = _get(_openapi(audience, own, title, version), guarded)
            answers[f"/{audience}/v1/docs"] = _get(_packaged("docs.html", DOCS_POLICY), guarded)
            answers[f"/{audience}/v1/docs/start.js"] = _get(_packaged("docs.js"), guarded)
            for name in _SWAGGER_UI:
                answers[f"/{audience}/v1/docs/{name}"] = _get(_swagger_ui(name), guarded)
    return Direct(answers, media)


def _get(answer: Callable[[Exchange], Awaitable[Reply]], guard: Guard | None = None) -> DirectAnswer:
    async def run(method: str, exchange: Exchange) -> Reply:
        if method not in ("GET", "HEAD"):
            reply = problem_reply(MarketplaceError("http.method_not_allowed", "Only read this."), exchange.request_id)
            reply.headers.append(("allow", "GET, HEAD"))
            return reply
        if guard is not None:
            await guard(exchange)
        reply = await answer(exchange)
        if guard is not None:
            reply.headers.append(("cache-control", "no-store"))
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
    headers = [("content-type", measured.CONTENT_TYPE), ("cache-control", "no-store")]
    return Reply(200, headers, await measured.exposition())


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
        shown = bool(_MEDIA_KEY(key)) and not key.startswith(AS_IT_CAME)
        if shown and (link := await blobs.link(key)) is not None:
            return Reply(302, [("location", link.url), ("cache-control", f"public, max-age={link.seconds}")])
        content = await blobs.get(key) if shown else None
        if content is None:
            raise NotFound("There is no such picture.")
        headers = [
            ("content-type", content_type_of(key)),
            ("cache-control", FOREVER),
            ("content-security-policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"),
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


def _packaged(name: str, policy: str | None = None) -> Callable[[Exchange], Awaitable[Reply]]:
    """A file of ours."""
    return _file(name, lambda: resources.files(__package__).joinpath(name).read_bytes(), policy)


def _swagger_ui(name: str) -> Callable[[Exchange], Awaitable[Reply]]:
    def read() -> bytes:
        return Path(str(metadata.distribution("swagger-ui-py").locate_file(f"swagger_ui/static/{name}"))).read_bytes()

    return _file(name, read)


def _file(name: str, read: Callable[[], bytes], policy: str | None = None) -> Callable[[Exchange], Awaitable[Reply]]:
    kind = {"html": "text/html", "js": "text/javascript", "css": "text/css"}[name.rpartition(".")[2]]
    headers = [("content-type", f"{kind}; charset=utf-8")]
    if policy is not None:
        headers.append(("content-security-policy", policy))

    @functools.cache  # not before somebody asks
    def content() -> tuple[bytes, str]:
        body = read()
        return body, etag(body)

    async def run(exchange: Exchange) -> Reply:
        body, tag = content()
        return _fixed(Reply(200, headers, body), exchange, tag)

    return run
