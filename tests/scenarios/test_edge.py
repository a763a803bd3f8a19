"""The proxies that are made from ``[edge.*]``, as real nginx before a running deployment."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from marketplace_core._supervisor.plan import command
from marketplace_core._supervisor.ports import free_port
from marketplace_core.deployment._secrets import KEYS
from marketplace_core.testing._forks import forks
from marketplace_core.testing.shop import Shop
from marketplace_core.values import new_id
from tests.scenarios.nginx import HOSTS, PROGRAM, edges, proxies

RECORDED = False
pytestmark = [
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(PROGRAM is None and not os.environ.get("CI"), reason="apt-get install nginx"),
]


@pytest.fixture
def runner() -> str:
    return "processes"


class Edge:
    """The proxies as clients have them."""

    def __init__(self, session: aiohttp.ClientSession, file: Path, port: int, internal: int) -> None:
        self._session, self.file, self._port, self._internal = session, file, port, internal

    def ask(self, client: str, method: str, path: str, *, via: str = "203.0.113.5", **options: Any) -> Any:
        """``via``: whom the balancer before the proxies says that he has heard."""
        port = self._internal if client == "operators" else self._port
        headers = {"X-Forwarded-For": via, **options.pop("headers", {})}
        return self._session.request(method, f"https://{HOSTS[client]}:{port}{path}", headers=headers, **options)

    async def status(self, client: str, method: str, path: str, **options: Any) -> int:
        async with self.ask(client, method, path, **options) as answer:
            return int(answer.status)


@pytest_asyncio.fixture
async def edge(shop: Shop, short_folder: Path) -> AsyncIterator[Edge]:
    front = free_port()
    text = shop.market.file.read_text()
    text = text.replace('profile = "test"', 'profile = "test"\ntrusted_proxies = ["127.0.0.0/8"]')
    file = short_folder / "edge.toml"
    file.write_text(f'{text}\n[limits]\ngeneral = "30/minute"\n{edges(short_folder, front)}')
    async with proxies(file, short_folder) as session:
        internal = int(file.read_text().rpartition("[edge.operators]")[2].partition("127.0.0.1:")[2].partition('"')[0])
        yield Edge(session, file, front, internal)


async def problem(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    body = await answer.json(content_type="application/problem+json")
    assert body["request_id"] == answer.headers["X-Request-Id"] and body["status"] == answer.status
    return answer.status, body["code"]


async def test_who_may_come_from_where(edge: Edge) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with edge.ask(
        "web", "OPTIONS", "/buyer/v1/orders", headers={"Origin": "https://www.shop.example", **asked}
    ) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://www.shop.example"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert {"Authorization", "Idempotency-Key"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    for client, origin in (("web", "https://partner.example"), ("web", "null"), ("public", "https://www.shop.example")):
        async with edge.ask(client, "OPTIONS", "/buyer/v1/orders", headers={"Origin": origin, **asked}) as answer:
            assert await problem(answer) == (403, "auth.forbidden")
            assert "Access-Control-Allow-Origin" not in answer.headers
    async with edge.ask("web", "GET", "/buyer/v1/categories", headers={"Origin": "https://www.shop.example"}) as answer:
        assert answer.status == 200 and "Origin" in answer.headers["Vary"]
        assert answer.headers["Access-Control-Allow-Origin"] == "https://www.shop.example"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    async with edge.ask("web", "GET", "/buyer/v1/categories", headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 200 and "Access-Control-Allow-Origin" not in answer.headers


async def test_what_each_client_reaches(shop: Shop, edge: Edge) -> None:
    reached = {
        ("web", "GET", "/buyer/v1/products"): 200,
        ("web", "GET", "/seller/v1/shop"): 401,
        ("web", "GET", "/logistics/v1/shipments"): 401,
        ("web", "GET", "/admin/v1/sellers"): 404,
        ("web", "GET", "/healthz"): 200,  # of the proxy itself
        ("web", "GET", "/readyz"): 404,
        ("web", "GET", "/metrics"): 404,
        ("web", "POST", "/_rpc"): 404,
        ("public", "GET", "/buyer/v1/products"): 200,
        ("public", "HEAD", "/buyer/v1/feed"): 200,
        ("public", "GET", "/buyer/v1/search"): 200,
        ("public", "GET", f"/buyer/v1/tracking/{new_id()}"): 404,
        ("public", "POST", "/buyer/v1/products"): 403,
        ("public", "GET", "/buyer/v1/me"): 404,
        ("public", "POST", "/buyer/v1/auth/login"): 404,
        ("public", "GET", "/seller/v1/products"): 404,
        ("public", "GET", "/buyer/v1/products/..%2f..%2f..%2fseller/v1/products"): 404,
    }
    nobody = {"public": {"Authorization": "Bearer nobody's"}}
    found = {asked: await edge.status(*asked, headers=nobody.get(asked[0], {})) for asked in reached}
    assert found == reached
    async with edge.ask("public", "GET", "/seller/v1/products") as answer:
        assert await problem(answer) == (404, "http.not_found")
    buyer = await shop.buyer()
    async with edge.ask("public", "GET", "/buyer/v1/orders", headers=buyer.headers) as answer:
        assert await problem(answer) == (404, "http.not_found")

    admin = {"Authorization": shop.admin.headers["Authorization"]}
    assert await edge.status("operators", "GET", "/admin/v1/sellers", via="10.1.2.3", headers=admin) == 200
    async with edge.ask("operators", "GET", "/admin/v1/sellers", headers=admin) as answer:
        assert await problem(answer) == (403, "auth.forbidden")
    async with edge.ask("operators", "GET", "/admin/v1/sellers", via="10.1.2.3, 203.0.113.5", headers=admin) as answer:
        assert answer.status == 403, "only the last, whom the balancer heard, is believed"


async def test_limits(edge: Edge) -> None:
    body = io.BytesIO(b"{" + b" " * (1 << 20) + b"}")
    async with edge.ask("web", "POST", "/buyer/v1/checkout/quote", data=body, headers={"X-Request-Id": "mine"}) as answer:
        assert await problem(answer) == (413, "http.too_large")
        assert answer.headers["X-Request-Id"] == "mine"

    async def many(count: int, via: str, **headers: str) -> list[int]:
        return [await edge.status("web", "GET", "/buyer/v1/categories", via=via, headers=headers) for _ in range(count)]

    found = await many(40, "203.0.113.77")
    assert found[:30] == [200] * 30 and 429 in found[31:]
    async with edge.ask("web", "GET", "/buyer/v1/categories", via="203.0.113.77") as answer:
        assert await problem(answer) == (429, "http.rate_limited")
        assert answer.headers["Retry-After"] == "1"
    assert await many(1, "203.0.113.78") == [200]
    assert set(await many(40, "203.0.113.79", Authorization="Bearer x")) == {401}, "the gateway counts who brings a token"
    assert set(await many(40, "127.0.0.1")) == {200}, "exempt, as limits say"


async def test_reads_are_kept_compressed_and_fresh(shop: Shop, edge: Edge) -> None:
    seller = await shop.open_seller("Kettle")
    pot = await shop.list_product(seller, "Tea Pot", 2495)
    path = f"/buyer/v1/products/{pot['id']}"
    seen = []
    for _ in range(3):
        async with edge.ask("web", "GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.status == 200 and "RateLimit-Limit" not in answer.headers
            seen.append((answer.headers["X-Request-Id"], answer.headers["ETag"]))
            assert (await answer.json())["title"] == "Tea Pot"
    assert len({name for name, _ in seen}) == 3, "a kept answer has its own request's name"
    assert "HIT" in log(edge, "web", path)
    tag = seen[0][1]
    assert await edge.status("web", "GET", path, headers={"If-None-Match": tag}) == 304

    async with edge.ask("web", "GET", "/buyer/v1/openapi.json", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
    mine = {"Authorization": seller.headers["Authorization"]}
    async with edge.ask("web", "GET", f"/seller/v1/products/{pot['id']}", headers=mine) as answer:
        weak = f"W/{answer.headers['ETag'].removeprefix('W/')}"
    changed = {**mine, "If-Match": weak}
    patched = await edge.status("web", "PATCH", f"/seller/v1/products/{pot['id']}", json={"title": "Pot"}, headers=changed)
    assert patched == 200, "a tag that compressing made weak still matches"
    async with asyncio.timeout(5), edge.ask("web", "GET", path, headers={"X-Cart-Token": "none"}) as answer:
        assert (await answer.json())["title"] == "Pot", "who has a cart is never shown what was kept"
    async with asyncio.timeout(5):
        while True:  # as long as cache_seconds
            async with edge.ask("web", "GET", path, via="127.0.0.1") as answer:
                if (await answer.json())["title"] == "Pot":
                    break
            await asyncio.sleep(0.1)


def log(edge: Edge, client: str, path: str) -> list[str]:
    """What became of requests at the cache."""
    lines = (edge.file.parent / client / "log").read_text().splitlines()
    rows = [msgspec.json.decode(line) for line in lines if line.startswith("{")]
    return [row["cache"] for row in rows if row["path"] == path]


async def test_a_stream_comes_event_by_event(shop: Shop, edge: Edge) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 1)], card="tok_3ds", key=new_id())
    mine = {"Authorization": buyer.headers["Authorization"]}
    async with asyncio.timeout(10), edge.ask("web", "GET", f"/buyer/v1/orders/{placed['id']}/events", headers=mine) as stream:
        assert stream.status == 200 and stream.content_type == "text/event-stream"
        assert await stream.content.readline() == b"retry: 2000\n"
        while not (await stream.content.readline()).startswith(b"data: "):
            pass
        await buyer.post(f"/orders/{placed['id']}/cancel", {"reason": "changed my mind"}, 202)
        rest = await stream.content.read()  # it ends by itself, and nothing of it was held back
        assert b"event: end" in rest


async def test_a_gateway_is_restarted_under_load_and_no_request_fails(shop: Shop, edge: Edge) -> None:
    apart = shop.market.apart
    assert apart is not None
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    item = {"variant_id": pot["variants"][0]["id"], "quantity": 1}
    failed: list[tuple[str, int, str]] = []
    done = 0
    ends = asyncio.Event()

    async def load(number: int) -> None:
        nonlocal done
        mine = {"Authorization": f"Bearer {number}"}
        while not ends.is_set():
            key = {"Idempotency-Key": new_id()}
            for method, path, headers, body, good in (
                ("GET", "/buyer/v1/cart", {}, None, 200),
                ("POST", "/buyer/v1/cart/items", key, item, 200),
                ("GET", "/buyer/v1/me", mine, None, 401),
            ):
                async with edge.ask("web", method, path, via="127.0.0.1", headers=headers, json=body) as answer:
                    done += 1
                    if answer.status != good:
                        failed.append((path, answer.status, await answer.text()))

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(load(number))
        try:
            former = apart.pids["buyer"]
            async with another(shop, "buyer"):
                os.kill(former, signal.SIGTERM)
                async with asyncio.timeout(60):
                    while apart.pids.get("buyer", former) == former or not watched(shop, "buyer"):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                before = done
            while done < before + 100:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        finally:
            ends.set()
    assert not failed, failed[:3]
    assert done > 200


def watched(shop: Shop, name: str) -> bool:
    """Whether it has said that it is ready."""
    return any(target["labels"]["process"] == name for target in shop.market.apart.targets)  # type: ignore[union-attr]


@contextlib.asynccontextmanager
async def another(shop: Shop, gateway: str) -> AsyncIterator[None]:
    """A second process of a gateway, on the same address, as ``replicas = 2`` has it."""
    folder = shop.market.file.parent
    address = f"127.0.0.1:{free_port()}"
    argv = (*command("serve", shop.market.process.deployment, gateway, data=folder), "--listen", address)
    env = {**os.environ, KEYS: str(folder / f"{gateway}.keys")}
    child = await forks().spawn(gateway, argv, env=env, log=folder / "logs" / "another.log")
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://{address}/readyz") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.05)
        yield
    finally:
        await child.stop()
