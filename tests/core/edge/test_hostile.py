"""What strangers send to every route of a whole marketplace: it costs little, and the answer is never that we are broken."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest

from marketplace_core import webhooks
from marketplace_core._runtime.operator_routes import operations_router
from marketplace_core.http.routing import Route
from marketplace_core.testing.client import Answer, Client
from marketplace_core.testing.hostile import BODIES
from marketplace_core.testing.shop import Shop
from marketplace_core.values import AUDIENCES, new_id

pytestmark = pytest.mark.behaviour("all-8")

LONGEST_ANSWER = 64 * 1024
NEXT = itertools.cycle(BODIES.items())
EDGES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00")
DEEP = base64.urlsafe_b64encode(b"\x91" * 1500 + b"\xc0").decode()


def routes(shop: Shop) -> list[Route]:
    process = shop.market.process
    return [route for router in (*process.routers(AUDIENCES), operations_router(process)) for route in router.routes]


def path_of(route: Route) -> str:
    return route.path.format_map(dict.fromkeys(route.params, new_id()))


async def test_strangers_break_nothing_and_get_little(shop: Shop) -> None:
    people = await _people(shop)
    wrong: list[Any] = []

    def look(what: str, answer: Answer) -> None:
        size = len(answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body))
        if answer.status >= 500 or size > LONGEST_ANSWER:
            wrong.append((what, answer.status, str(answer.body)[:300]))

    began = time.monotonic()
    for route in routes(shop):
        stranger, path = shop.make(route.audience), path_of(route)
        if route.body is not None or route.raw:
            for name, raw in itertools.islice(NEXT, 2 if route.access in ("open", "guest") else 1):
                headers = {"Content-Type": "application/json", "Idempotency-Key": new_id()}
                answer = await stranger.send(route.method, path, raw=raw, headers=headers)
                look(f"{route.audience} {route.method} {route.path}: {name}", answer)
        for query in _queries(route):
            look(f"{route.method} {route.path}?{query}", await people[route.audience].send(route.method, f"{path}?{query}"))
    assert not wrong
    assert time.monotonic() - began < 90
    await _wires(shop)
    await _bodies(shop, people)
    await _webhooks(shop)


async def _people(shop: Shop) -> dict[str, Client]:
    return {
        "buyer": await shop.buyer(),
        "seller": await shop.open_seller("Kettle"),
        "logistics": shop.courier,
        "admin": shop.admin,
    }


def _queries(route: Route) -> list[str]:
    if route.query is None:
        return []
    names = [field.encode_name for field in msgspec.structs.fields(route.query)]
    found = [f"{name}={quote(edge)}" for name in names if name.endswith("_after") for edge in EDGES]
    return [
        *found,
        f"cursor={DEEP}",
        f"limit={'9' * 5000}",
        "&".join(f"{'n' * 100}{n}=1" for n in range(99)),
        f"{names[0]}=%00",
    ]


async def _bodies(shop: Shop, people: dict[str, Client]) -> None:
    buyer, seller = people["buyer"], people["seller"]
    for body in ({"preferences": {"a": 1e308}}, {"preferences": {"a": 2**63}}):
        await buyer.patch("/me", body, 422)
    assert (await buyer.get("/me"))["preferences"] == {}
    deep = {"title": "x", "attributes": {"a": _nested(600)}}
    assert (await seller.send("POST", "/products", raw=msgspec.json.encode(deep), headers=JSON)).status == 422
    for edge in EDGES:
        refused = await shop.courier.send("POST", f"/shipments/{new_id()}/events", {"code": "in_transit", "occurred_at": edge})
        assert refused.status == 422
        assert (await shop.admin.send("POST", "/clock", {"to": edge})).status in (404, 422)
    for at in ("9999-12-31T00:00:00Z", "2500-01-02T00:00:00Z"):
        assert (await shop.admin.send("POST", "/clock", {"to": at})).status in (404, 422)
    await buyer.get("/me")


JSON = {"Content-Type": "application/json"}


def _nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


async def _webhooks(shop: Shop) -> None:
    """Signed by who may, and with what no store can hold; and not signed, with a time of a thousand digits."""
    key = webhooks.secret_key(shop.payments.secret)
    now = int(shop.market.clock.now().timestamp())
    money = {"amount": 1, "currency": "EUR"}
    for text in ("a\0b", "x" * 100_000):
        body = msgspec.json.encode({"type": "payment.captured", "data": {"payment": text, "reference": text, "amount": money}})
        id_ = new_id()
        signature = webhooks.sign(key, id_, now, body)
        headers = {"webhook-id": id_, "webhook-timestamp": str(now), "webhook-signature": signature}
        answer = await shop.make("buyer").send("POST", "/webhooks/payments/simulator", raw=body, headers=headers)
        assert answer.status < 500, answer
    for stamp in ("9" * 5000, "9" * 400):
        headers = {"webhook-id": "x", "webhook-timestamp": stamp, "webhook-signature": "v1,x"}
        answer = await shop.make("buyer").send("POST", "/webhooks/payments/simulator", raw=b"{}", headers=headers)
        assert answer.status == 401


async def _wires(shop: Shop) -> None:
    """What no client writes by itself."""
    where = urlsplit(shop.market.audiences["buyer"])
    head = f"Host: {where.netloc}\r\n".encode()
    login = b"POST /buyer/v1/auth/login HTTP/1.1\r\n" + head + b"Content-Type: application/json\r\n"
    for raw in (
        b"CONNECT /buyer/v1/products HTTP/1.1\r\n" + head + b"\r\n",
        f"CONNECT {where.netloc} HTTP/1.1\r\n".encode() + head + b"\r\n",
        b"TRACE /buyer/v1/products HTTP/1.1\r\n" + head + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + head + b"\r\n",
        login + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
        login + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        login + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
        login + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    ):
        status = await _status(where.hostname or "", where.port or 0, raw)
        assert status is None or 400 <= status < 500, (raw, status)


async def _status(host: str, port: int, raw: bytes) -> int | None:
    """Of the answer; None where the connection is closed without one."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(raw)
        async with asyncio.timeout(20):
            line = await reader.readline()
        return int(line.split(b" ")[1]) if line else None
    except ConnectionError:
        return None
    finally:
        writer.close()
