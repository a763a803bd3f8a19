"""Asking a service outside of the marketplace, against one that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from marketplace_core import calls
from marketplace_core.errors import Unavailable
from marketplace_core.http.client import Declined, JsonClient


class Service:
    """Answers with what it is told to, and remembers the requests."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.wait = 0.0
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.peers: set[Any] = set()

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        await asyncio.sleep(self.wait)
        status, body = self.answer
        return web.Response(status=status, body=body)


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    made, app = Service(), web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"  # type: ignore[attr-defined]
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture
async def client(service: Any) -> AsyncIterator[JsonClient]:
    made = JsonClient("service", service.url, seconds=0.5)
    yield made
    await made.close()


async def test_json_out_and_in_over_one_connection(service: Service, client: JsonClient) -> None:
    service.answer = (201, b'{"a": 1}')
    with calls.scope(calls.Call(trace="00-aa-bb-01")):
        assert await client.ask("POST", "/x", dict[str, int], body={"b": 2}, key="k", params={"q": "1 2"}) == {"a": 1}
    method, path, headers, body = service.seen[0]
    assert (method, path, body) == ("POST", "/x?q=1+2", b'{"b":2}')
    lower = {name.lower(): value for name, value in headers.items()}
    assert (lower["idempotency-key"], lower["content-type"]) == ("k", "application/json")
    assert lower["traceparent"] == "00-aa-bb-01"
    service.answer = (200, b"%PDF")
    assert await client.fetch("/y") == b"%PDF"
    service.answer = (204, b"")
    await client.send("DELETE", "/z")
    assert len(service.peers) == 1


@pytest.mark.parametrize(
    ("status", "body", "code", "detail"),
    [
        (409, b'{"code": "declined", "detail": "no money"}', "declined", "no money"),
        (404, b"nothing", "", ""),
        (422, b"[1]", "", ""),
    ],
)
async def test_a_refusal(service: Service, client: JsonClient, status: int, body: bytes, code: str, detail: str) -> None:
    service.answer = (status, body)
    with pytest.raises(Declined) as declined:
        await client.ask("GET", "/", object)
    assert (declined.value.status, declined.value.code, declined.value.detail) == (status, code, detail)


@pytest.mark.parametrize(
    "answer", [(500, b""), (503, b"{}"), (429, b""), (408, b""), (302, b""), (200, b"no JSON"), (200, b'"\xff"')]
)
async def test_an_unknown_outcome(service: Service, client: JsonClient, answer: tuple[int, bytes]) -> None:
    service.answer = answer
    with pytest.raises(Unavailable):
        await client.ask("GET", "/", object)


async def test_no_answer(service: Service, client: JsonClient) -> None:
    service.wait = 1.0
    with pytest.raises(Unavailable):
        await client.send("POST", "/")
    nobody = JsonClient("service", "http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await nobody.fetch("/")
    await nobody.close()


async def test_it_can_be_closed_before_and_between(service: Service) -> None:
    client = JsonClient("service", service.url)  # type: ignore[attr-defined]
    await client.close()
    await client.send("GET", "/")
    await client.close()
    await client.send("GET", "/")
    await client.close()
    assert len(service.seen) == 2
