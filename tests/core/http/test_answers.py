"""What routes answer: JSON, entity tags, locations, other content, streams, and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from http_serving import app_of, served
from msgspec import Struct

from marketplace_core import calls
from marketplace_core.errors import Conflict, MarketplaceError, NotFound, Unavailable
from marketplace_core.http.app import HttpOptions
from marketplace_core.http.routing import Answer, Content, Redirect, Router, ServerSentEvents
from marketplace_core.values import Page, PageQuery, etag


class Product(Struct):
    id: str
    at: datetime
    image: str | None = None


PRODUCT = Product("1", datetime(2026, 1, 31, 12, tzinfo=UTC))

shop = Router("buyer", "shop")
closed: list[str] = []


@shop.get("/products/{id}", access="guest")
async def product(id: str) -> Product | Redirect:
    if id == "old":
        return Redirect("/products/1")
    return PRODUCT


@shop.get("/products", access="anyone")
async def products(query: PageQuery) -> Page[Product]:
    return Page([PRODUCT])


@shop.get("/mine", access="guest")
async def mine(query: PageQuery) -> Page[Product]:
    return Page([PRODUCT])


@shop.get("/versioned", access="guest")
async def versioned() -> Answer[Product]:
    return Answer(PRODUCT, headers={"ETag": '"v7"'})


@shop.post("/products", access="guest")
async def make() -> Answer[Product]:
    calls.mark_replayed()
    return Answer(PRODUCT, location="/products/1", headers={"X-Extra": "yes"})


@shop.post("/quiet", access="guest")
async def quiet() -> None:
    return None


@shop.post("/later", access="guest", status=202)
async def later() -> Answer[None]:
    return Answer(None, location="/jobs/1")


@shop.delete("/products/{id}", access="guest")
async def remove(id: str) -> Product:
    return PRODUCT


@shop.get("/invoice.pdf", access="guest")
async def invoice() -> Content:
    return Content(b"%PDF", "application/pdf", "Rechnung ü.pdf")


@shop.get("/events/{kind}", access="guest")
async def events(kind: str) -> ServerSentEvents:
    return ServerSentEvents(_events(kind))


async def _events(kind: str) -> AsyncIterator[tuple[str, str | None, object] | None]:
    if kind == "missing":
        raise NotFound()
    try:
        yield "order", "1", {"of": calls.current().request_id}
        if kind == "broken":
            raise RuntimeError("a secret")
        if kind == "endless":
            await asyncio.sleep(60)
        yield None
        yield "end", None, "€"
    finally:
        closed.append(kind)


@shop.post("/fails/{how}", access="guest")
async def fails(how: str) -> None:
    calls.mark_replayed()
    raise {
        "conflict": Conflict("idempotency.in_flight", "Wait.", retry_after=3),
        "away": Unavailable(),
        "slow": TimeoutError("a secret"),
        "bug": ValueError("a secret"),
        "strange": MarketplaceError("no.such_code", "Strange."),
    }[how]


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    closed.clear()
    async with served(app_of(shop, options=HttpOptions(ping_seconds=0.1))) as session:
        yield session


async def test_json_with_every_field_and_utc(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/products/1")
    assert answer.headers["Content-Type"] == "application/json"
    assert await answer.read() == b'{"id":"1","at":"2026-01-31T12:00:00Z","image":null}'


@pytest.mark.behaviour("all-4")
@pytest.mark.parametrize("path", ["products/1", "products", "versioned", "invoice.pdf"])
async def test_who_has_it_already_gets_304(client: aiohttp.ClientSession, path: str) -> None:
    answer = await client.get(f"/buyer/v1/{path}")
    tag = answer.headers["ETag"]
    assert tag == ('"v7"' if path == "versioned" else etag(await answer.read()))
    for known in (tag, "*", f'"other", W/{tag}', f"W/{tag}"):
        again = await client.get(f"/buyer/v1/{path}", headers={"If-None-Match": known})
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
        assert "Content-Type" not in again.headers
    changed = await client.get(f"/buyer/v1/{path}", headers={"If-None-Match": '"other"'})
    assert changed.status == 200


async def test_what_is_private_and_long_has_no_tag(client: aiohttp.ClientSession) -> None:
    assert "ETag" not in (await client.get("/buyer/v1/mine")).headers


async def test_head_is_get_without_the_body(client: aiohttp.ClientSession) -> None:
    whole = await client.get("/buyer/v1/products/1")
    head = await client.head("/buyer/v1/products/1")
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == whole.headers[name]
    assert (head.status, await head.read()) == (200, b"")
    assert (await client.head("/buyer/v1/events/endless")).status == 200
    assert closed == ["endless"]


async def test_made_with_its_location(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/buyer/v1/products")
    assert (answer.status, answer.headers["Location"]) == (201, "/buyer/v1/products/1")
    assert answer.headers["X-Extra"] == "yes"
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert "ETag" not in answer.headers


async def test_nothing_to_say(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/buyer/v1/quiet")
    assert (answer.status, await answer.read()) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert "Idempotent-Replayed" not in answer.headers
    answer = await client.post("/buyer/v1/later")
    assert (answer.status, answer.headers["Location"]) == (202, "/buyer/v1/jobs/1")
    assert (await client.delete("/buyer/v1/products/1")).status == 200


async def test_elsewhere(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/products/old", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (301, "/buyer/v1/products/1")


async def test_bytes_with_their_name(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/invoice.pdf")
    assert (answer.content_type, await answer.read()) == ("application/pdf", b"%PDF")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''Rechnung%20%C3%BC.pdf"


# ── server-sent events ───────────────────────────────────────────────────────────────────────────────────────


async def test_events_in_order_until_the_end(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/events/short", headers={"X-Request-Id": "r1"})
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert (await answer.text()).split("\n\n") == [
        "retry: 2000",
        'id: 1\nevent: order\ndata: {"of":"r1"}',
        ": ping",
        'event: end\ndata: "€"',
        "",
    ]


async def test_an_idle_stream_pings_and_ends_with_its_reader(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/events/endless")
    lines = [await answer.content.readline() for _ in range(10)]
    assert lines[6:9:2] == [b": ping\n", b": ping\n"]
    assert closed == []
    answer.close()
    for _ in range(200):
        if closed:
            break
        await asyncio.sleep(0.01)
    assert closed == ["endless"]


async def test_a_process_that_stops_ends_its_streams() -> None:
    app = app_of(shop)
    async with served(app) as client:
        answers = [await client.get("/buyer/v1/events/endless") for _ in range(2)]
        for answer in answers:
            await answer.content.readuntil(b"data")
        app.close()
        for answer in answers:
            await asyncio.wait_for(answer.read(), 5)


async def test_a_stream_that_cannot_begin_is_refused(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/events/missing")
    assert (answer.status, (await answer.json())["code"]) == (404, "http.not_found")


async def test_a_stream_that_fails_just_ends(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/events/broken")
    text = await answer.text()
    assert text.count("event:") == 1
    assert "secret" not in text


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "status", "code", "retry_after"),
    [
        ("conflict", 409, "idempotency.in_flight", "3"),
        ("away", 503, "http.unavailable", "1"),
        ("slow", 503, "http.unavailable", "1"),
        ("bug", 500, "http.internal", None),
        ("strange", 500, "no.such_code", None),
    ],
)
async def test_errors_as_problems(
    client: aiohttp.ClientSession, how: str, status: int, code: str, retry_after: str | None
) -> None:
    answer = await client.post(f"/buyer/v1/fails/{how}")
    text = await answer.text()
    problem = json.loads(text)
    assert (answer.status, problem["code"], answer.headers.get("Retry-After")) == (status, code, retry_after)
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert "secret" not in text
    assert "Traceback" not in text


@pytest.mark.behaviour("all-2")
async def test_no_such_route_and_no_such_method(client: aiohttp.ClientSession) -> None:
    for path in (
        "/",
        "/nope",
        "/buyer/v1",
        "/buyer/v1/nope",
        "/buyer/v1/products/",
        "/buyer/v1//products",
        "/seller/v1/products",
    ):
        answer = await client.get(path, allow_redirects=False)
        assert (answer.status, (await answer.json())["code"]) == (404, "http.not_found")
    answer = await client.put("/buyer/v1/products/1")
    assert (answer.status, (await answer.json())["code"]) == (405, "http.method_not_allowed")
    assert answer.headers["Allow"] == "DELETE, GET, HEAD"
    assert (await client.options("/buyer/v1/products")).status == 405
