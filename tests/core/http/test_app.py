"""The application around the routes: health, pictures, ids, logs, OpenAPI; and routes in somebody else's application."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import msgspec
import pytest
import structlog
from http_serving import NoGate, app_of, served
from msgspec import Meta, Struct
from quart import Quart
from yarl import URL

from marketplace_core.calls import current
from marketplace_core.errors import Unavailable
from marketplace_core.http.openapi import document
from marketplace_core.http.routing import Answer, Content, Request, Router, ServerSentEvents, Upload
from marketplace_core.http.views import blueprint
from marketplace_core.ports import BlobEntry, Blobs
from marketplace_core.values import Page, PageQuery

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Card(Struct, forbid_unknown_fields=True):
    """A product in a list."""

    id: str
    title: Annotated[str, Meta(max_length=5)] = ""


class Find(PageQuery, frozen=True, kw_only=True):
    words: str
    shop: str | None = None


shop = Router("buyer", "shop")
office = Router("admin", "office")


@shop.get("/call/{id}", access="guest")
async def call(request: Request, id: str) -> dict[str, Any]:
    """Who calls.

    And as part of what.
    """
    structlog.get_logger("shop").info("called")
    return {
        "trace": request.call.trace,
        "same": current() == request.call,
        "path": request.path,
        "agent": request.headers["user-agent"],
    }


@shop.get("/track/{token}", access="guest")
async def track(token: str) -> str:
    return token


@shop.get("/cards", access="anyone", cached="lists")
async def cards(query: Find) -> Page[Card]:
    return Page([])


@shop.post("/cards", access="account", key="required")
async def add(body: Card) -> Answer[Card]:
    return Answer(body)


@shop.post("/cards/{id}/pictures", access="shop", status=202, count=2)
async def pictures(id: str, files: list[Upload]) -> None:
    return None


@shop.patch("/cards/{id}", access="account")
async def change(id: str, body: Card) -> Card:
    return body


@shop.get("/stream", access="guest")
async def stream() -> ServerSentEvents:
    raise Unavailable()


@shop.get("/file", access="guest", headers=["X-Order-Token"], media_type="text/csv", also=[202])
async def file() -> Content:
    return Content(b"", "text/csv")


@office.get("/cards", access="staff")
async def all_cards() -> Card | None:
    return None


class Folder(Blobs):
    """Files below a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def put(self, items: Mapping[str, bytes], content_type: str | None = None) -> None:
        for key, content in items.items():
            (self.path / key).parent.mkdir(parents=True, exist_ok=True)
            (self.path / key).write_bytes(content)

    async def get(self, key: str) -> bytes | None:
        if key == "away.png":
            raise Unavailable()
        file = self.path / key
        return file.read_bytes() if file.is_file() else None

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            (self.path / key).unlink()

    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> list[BlobEntry]:
        raise NotImplementedError

    def url(self, key: str) -> str:
        return f"/media/{key}"


state = {"main": "ok", "cache": "ok"}


async def ready() -> dict[str, str]:
    return state


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    media = Folder(tmp_path / "media")
    await media.put({"p/1.webp": b"picture"})
    (tmp_path / "secret").write_bytes(b"secret")
    async with served(app_of(shop, office, ready=ready, media=media)) as session:
        yield session


# ── before Quart ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_health_and_readiness(client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await client.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"status": "ok"})
    answer = await client.get("/readyz")
    assert (answer.status, await answer.json()) == (200, {"main": "ok", "cache": "ok"})
    monkeypatch.setitem(state, "cache", "refused the connection")
    answer = await client.get("/readyz")
    assert (answer.status, await answer.json()) == (503, {"main": "ok", "cache": "refused the connection"})
    assert (await client.head("/healthz")).status == 200
    answer = await client.post("/healthz")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_pictures_are_for_ever(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/media/p/1.webp")
    assert (answer.status, answer.content_type, await answer.read()) == (200, "image/webp", b"picture")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    again = await client.get("/media/p/1.webp", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    for path in ("nothing.png", "", "p", "%2e%2e/secret", "p/..%2f..%2fsecret", ".hidden"):
        missing = await client.get(f"/media/{path}")
        assert (missing.status, (await missing.json())["code"]) == (404, "http.not_found")
    away = await client.get("/media/away.png")
    assert (away.status, away.headers["Retry-After"]) == (503, "1")


# ── ids and traces ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("all-6")
async def test_a_request_id_is_echoed_or_made(client: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/buyer/v1/call/1", "/nope", "/buyer/v1/openapi.json"):
        answer = await client.get(path, headers={"X-Request-Id": "abc-1_2.3"})
        assert answer.headers["X-Request-Id"] == "abc-1_2.3"
        for bad in ("x" * 129, "a b", "ü", "<script>"):
            answer = await client.get(path, headers={"X-Request-Id": bad})
            assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Request-Id"])


@pytest.mark.behaviour("all-6")
async def test_a_trace_is_continued_or_made(client: aiohttp.ClientSession) -> None:
    found = await (await client.get("/buyer/v1/call/1", headers={"traceparent": TRACE})).json()
    assert (found["trace"], found["same"], found["path"]) == (TRACE, True, "/buyer/v1/call/1")
    for bad in ("", TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), TRACE.upper(), TRACE[:-1], f"{TRACE}-more"):
        found = await (await client.get("/buyer/v1/call/1", headers={"traceparent": bad})).json()
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", found["trace"])
        assert found["trace"] != bad


async def log_lines(capture: pytest.CaptureFixture[str], count: int) -> list[str]:
    """The next lines of the log: a request is logged just after it was answered."""
    text = ""
    for _ in range(200):
        text += capture.readouterr().err
        if text.count("\n") >= count:
            break
        await asyncio.sleep(0.01)
    return text.splitlines()


@pytest.mark.behaviour("all-6")
async def test_logs_are_json_without_secrets(json_logs: pytest.CaptureFixture[str], client: aiohttp.ClientSession) -> None:
    secret = {"X-Cart-Token": "hush", "Idempotency-Key": "hush", "User-Agent": "hush"}
    await client.get("/buyer/v1/call/1", headers={**secret, "X-Request-Id": "r1"})
    await client.get("/buyer/v1/track/hush")
    await client.post("/buyer/v1/cards?words=hush", json={"email": "hush@example.com"}, headers=secret)
    await client.get("/healthz")
    texts = await log_lines(json_logs, 4)
    lines = [json.loads(text) for text in texts]
    assert "hush" not in "".join(texts)
    assert [(line["event"], line["logger"]) for line in lines] == [
        ("called", "shop"),
        ("request", "marketplace.access"),
        ("request", "marketplace.access"),
        ("request", "marketplace.access"),
    ]
    assert lines[0]["request_id"] == "r1"
    assert {name: lines[1][name] for name in ("method", "path", "status", "request_id", "audience", "account", "level")} == {
        "method": "GET",
        "path": "/buyer/v1/call/1",
        "status": 200,
        "request_id": "r1",
        "audience": "buyer",
        "account": None,
        "level": "info",
    }
    assert lines[1]["ms"] >= 0
    assert lines[1]["timestamp"].endswith("Z")
    assert lines[2]["path"] == "/buyer/v1/track/{token}"
    assert lines[3]["status"] == 401


async def test_a_failure_is_logged_with_its_traceback(json_logs: pytest.CaptureFixture[str]) -> None:
    router = Router("buyer", "bad")

    @router.get("/boom", access="guest")
    async def boom() -> None:
        raise ZeroDivisionError("by nought")

    async with served(app_of(router)) as client:
        answer = await client.get("/buyer/v1/boom", headers={"X-Request-Id": "r9"})
        assert (answer.status, (await answer.json())["code"]) == (500, "http.internal")
    failure = json.loads((await log_lines(json_logs, 2))[0])
    assert failure["request_id"] == "r9"
    assert "ZeroDivisionError: by nought" in failure["exception"]


# ── OpenAPI ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_document_is_served_with_a_page(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/openapi.json")
    assert await answer.read() == msgspec.json.encode(document("buyer", [shop, office], "Shop", "1.2.3"))
    again = await client.get("/buyer/v1/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    assert (await client.get("/seller/v1/openapi.json")).status == 404
    page = await client.get("/admin/v1/docs")
    text = await page.text()
    assert page.content_type == "text/html"
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert not re.search(r"https?://|<script>|style=", text), "nothing from elsewhere, and nothing inline"
    for source in re.findall(r'(?:src|href)="(\S+?)"', text):
        part = await client.get(f"/admin/v1/{source}")
        assert (part.status, part.headers["X-Content-Type-Options"]) == (200, "nosniff"), source
        assert part.content_type == ("text/css" if source.endswith("css") else "text/javascript")


async def test_a_path_of_two_slashes_reaches_nothing(client: aiohttp.ClientSession) -> None:
    """A proxy that keeps `/admin/` to itself lets it pass."""
    for path in ("//buyer/v1/call/1", "/%2fbuyer/v1/call/1", "//buyer/v1/openapi.json", "//healthz", "///buyer/v1/call/1"):
        answer = await client.get(URL(f"http://shop.test{path}", encoded=True))
        assert (answer.status, (await answer.json())["code"]) == (404, "http.not_found"), path


def test_the_document_says_what_the_routes_take() -> None:
    api = document("buyer", [shop, office], "Shop", "1.2.3")
    assert list(api["paths"]) == [
        "/call/{id}",
        "/track/{token}",
        "/cards",
        "/cards/{id}/pictures",
        "/cards/{id}",
        "/stream",
        "/file",
    ]
    called = api["paths"]["/call/{id}"]["get"]
    assert (called["operationId"], called["summary"], called["description"]) == (
        "shop.call",
        "Who calls.",
        "And as part of what.",
    )
    listed, added = api["paths"]["/cards"]["get"], api["paths"]["/cards"]["post"]
    parameters = {each["name"]: each for each in listed["parameters"]}
    assert {name: each["required"] for name, each in parameters.items()} == {
        "limit": False,
        "cursor": False,
        "words": True,
        "shop": False,
        "If-None-Match": False,
    }
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "default": 20}
    assert [each["required"] for each in added["parameters"] if each["name"] == "Idempotency-Key"] == [True]
    assert added["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Card"}}},
    }
    assert added["security"] == [{"bearer": []}]
    assert set(added["responses"]) == {"201", "400", "401", "403", "408", "409", "413", "415", "422", "429", "503"}
    sent = api["paths"]["/cards/{id}/pictures"]["post"]
    assert sent["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["file"]["maxItems"] == 2
    assert {"202", "403", "404"} <= set(sent["responses"])
    assert "Find" not in api["components"]["schemas"]
    assert api["components"]["schemas"]["Card"]["description"] == "A product in a list."


def test_the_document_says_what_the_routes_answer() -> None:
    paths = document("buyer", [shop, office], "Shop", "1.2.3")["paths"]
    streamed, filed = paths["/stream"]["get"]["responses"]["200"], paths["/file"]["get"]["responses"]
    assert streamed["content"] == {"text/event-stream": {}} and "ETag" not in streamed["headers"]
    assert list(filed["200"]["content"]) == ["text/csv"]
    assert set(filed["200"]["headers"]) == {"X-Request-Id", "ETag"}
    assert filed["202"]["content"] == filed["200"]["content"] and "Location" in filed["202"]["headers"]
    assert [each["name"] for each in paths["/file"]["get"]["parameters"]][:2] == ["X-Cart-Token", "X-Order-Token"]
    assert set(paths["/cards"]["post"]["responses"]["201"]["headers"]) == {"X-Request-Id", "Location", "Idempotent-Replayed"}


def test_what_is_only_answered_leaves_out_no_field() -> None:
    schemas = document("buyer", [shop, office], "Shop", "1.2.3")["components"]["schemas"]
    assert schemas["Page_Card_"]["required"] == ["items", "next"]
    assert schemas["Card"]["required"] == ["id"], "it is also sent, and then title may be left out"


def test_every_reference_leads_somewhere() -> None:
    for audience in ("buyer", "admin"):
        api = document(audience, [shop, office], "Shop", "1")  # type: ignore[arg-type]
        references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(api)))
        assert references
        for reference in references:
            at = api
            for part in reference.split("/"):
                at = at[part]
        for methods in api["paths"].values():
            for operation in methods.values():
                assert operation["summary"]
                assert operation["tags"]


# ── assembly ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_mounted() -> None:
    twice = Router("buyer", "again")

    @twice.get("/call/{other}", access="guest")
    async def other(other: str) -> None:
        return None

    with pytest.raises(ValueError, match=r"GET /call/\{other\} is of shop.call and of again.other"):
        app_of(shop, twice)

    class Short(Struct, omit_defaults=True):
        a: int = 0

    Page_of_short = Page[Short]
    leaves_out = Router("buyer", "short")

    async def short() -> None:
        return None

    short.__annotations__["return"] = Page_of_short
    leaves_out.get("/short")(short)
    with pytest.raises(TypeError, match="Short leaves its defaults out"):
        app_of(leaves_out)
    with pytest.raises(ValueError, match="names \\['name'\\]"):
        Router("buyer", "x").get("/x/{token}", access="anyone", cached="x:{name}")(track)


async def test_a_router_in_a_foreign_application() -> None:
    app = Quart("theirs")
    app.register_blueprint(blueprint(shop, NoGate(), prefix="/market"))
    async with served(app) as client:
        answer = await client.get("/market/call/1", headers={"X-Request-Id": "r1", "traceparent": TRACE})
        assert (answer.status, answer.headers["X-Request-Id"], (await answer.json())["trace"]) == (200, "r1", TRACE)
        answer = await client.get("/market/cards")
        assert (answer.status, (await answer.json())["code"]) == (422, "validation")
        answer = await client.post("/market/cards", json={})
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
