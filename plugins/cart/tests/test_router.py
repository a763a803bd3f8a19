"""The cart over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from marketplace_cart.config import CartConfig
from marketplace_cart.stores.redis import RedisCartStore

from marketplace_core.adapters.redis.server import connect
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.values import SystemClock, new_id

PASSWORD = "a fine password"


class Shopper:
    """Requests to the buyer's audience, with a guest's token or an account's."""

    def __init__(self, session: aiohttp.ClientSession, bench: Any) -> None:
        self.session = session
        self.bench = bench
        self.headers: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        url = f"{self.bench.market.url}/buyer/v1{path}"
        async with self.session.request(method, url, json=body, headers=sent) as response:
            return response.status, await response.json(), response.headers

    async def cart(self) -> Any:
        status, body, _ = await self.ask("GET", "/cart")
        assert status == 200
        return body

    async def add(self, variant_id: str, quantity: int = 1, **headers: str) -> Any:
        status, body, _ = await self.ask("POST", "/cart/items", {"variant_id": variant_id, "quantity": quantity}, **headers)
        assert status == 200
        return body

    async def come(self, path: str, email: str, **more: str) -> None:
        """Register or log in, and be known by the session from now on."""
        status, body, _ = await self.ask("POST", path, {"email": email, "password": PASSWORD, **more})
        assert status in (200, 201), body
        self.headers = {"authorization": f"Bearer {body['session']['access_token']}"}


@pytest_asyncio.fixture
async def shopper(shop: Callable[..., Awaitable[Any]]) -> AsyncIterator[Shopper]:
    bench = await shop(("auth", "catalog", "cart"), http=True)
    async with aiohttp.ClientSession() as session:
        yield Shopper(session, bench)


async def test_a_guests_cart(shopper: Shopper) -> None:
    (pot,) = await shopper.bench.stock(stock=3)
    empty = await shopper.cart()
    assert list(empty) == ["id", "token", "items", "quantity", "subtotal", "problems"]
    assert (empty["items"], empty["quantity"], empty["subtotal"]) == ([], 0, {"amount": 0, "currency": "EUR"})
    shopper.headers = {"X-Cart-Token": empty["token"]}
    cart = await shopper.add(pot, 2)
    assert (cart["id"], cart["token"]) == (empty["id"], empty["token"])
    assert cart["items"] == [
        {
            "variant_id": pot,
            "product_id": shopper.bench.products[pot],
            "seller_id": shopper.bench.seller.id,
            "sku": await shopper.bench.sku(pot),
            "title": "Tea pot",
            "options": {"size": "0"},
            "image": None,
            "quantity": 2,
            "unit_price": {"amount": 1000, "currency": "EUR"},
            "line_total": {"amount": 2000, "currency": "EUR"},
            "available": 3,
        }
    ]
    status, cart, _ = await shopper.ask("PATCH", f"/cart/items/{pot}", {"quantity": 5})
    assert (status, cart["quantity"], cart["subtotal"]["amount"]) == (200, 5, 5000)
    assert cart["problems"] == [{"code": "out_of_stock", "variant_id": pot, "detail": "3 can be bought now."}]
    status, cart, _ = await shopper.ask("DELETE", f"/cart/items/{pot}")
    assert (status, cart) == (200, empty)
    await shopper.add(pot)
    status, cart, _ = await shopper.ask("PATCH", f"/cart/items/{pot}", {"quantity": 0})
    assert (status, cart) == (200, empty)


async def test_what_is_refused(shopper: Shopper) -> None:
    (pot,) = await shopper.bench.stock()
    for body, pointer, code in (
        ({"variant_id": new_id(), "quantity": 1}, "/variant_id", "not_found"),
        ({"quantity": 1}, "/variant_id", "required"),
        ({"variant_id": pot, "quantity": 0}, "/quantity", "range"),
        ({"variant_id": pot, "colour": "red"}, "/colour", "unknown_field"),
    ):
        status, problem, _ = await shopper.ask("POST", "/cart/items", body)
        assert (status, problem["code"]) == (422, "validation")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    status, problem, _ = await shopper.ask("POST", "/cart/items", {"variant_id": pot, "quantity": 10_000})
    assert (status, problem["code"]) == (422, "cart.quantity_limit")
    for method, body in (("PATCH", {"quantity": 1}), ("DELETE", None)):
        status, problem, _ = await shopper.ask(method, f"/cart/items/{pot}", body)
        assert (status, problem["code"]) == (404, "http.not_found")


@pytest.mark.behaviour("all-1")
async def test_a_key_is_used_once(shopper: Shopper) -> None:
    (pot,) = await shopper.bench.stock()
    shopper.headers = {"Idempotency-Key": new_id()}
    body = {"variant_id": pot, "quantity": 2}
    status, first, headers = await shopper.ask("POST", "/cart/items", body)
    assert (status, "Idempotent-Replayed" in headers) == (200, False)
    status, again, headers = await shopper.ask("POST", "/cart/items", body)
    assert (status, again, headers["Idempotent-Replayed"]) == (200, first, "true")
    status, problem, _ = await shopper.ask("POST", "/cart/items", {**body, "quantity": 3})
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


async def test_if_match(shopper: Shopper) -> None:
    (pot,) = await shopper.bench.stock()
    shopper.headers = {"X-Cart-Token": (await shopper.add(pot))["token"]}
    _, _, headers = await shopper.ask("GET", "/cart")
    tag = headers["ETag"]
    status, _, _ = await shopper.ask("PATCH", f"/cart/items/{pot}", {"quantity": 2}, If_Match=tag)
    assert status == 200
    status, problem, _ = await shopper.ask("DELETE", f"/cart/items/{pot}", If_Match=tag)
    assert (status, problem["code"]) == (412, "http.precondition_failed")


@pytest.mark.behaviour("cart-2")
async def test_logging_in_merges(shopper: Shopper) -> None:
    pot, cup = await shopper.bench.stock(2)
    first = (await shopper.add(pot, 2))["token"]
    shopper.headers = {"X-Cart-Token": first}
    await shopper.come("/auth/register", "ada@example.org", name="Ada")
    cart = await shopper.cart()
    assert (cart["token"], cart["quantity"]) == (None, 2)

    account, shopper.headers = shopper.headers, {}
    second = (await shopper.add(cup, 1))["token"]
    shopper.headers = {"X-Cart-Token": second}
    await shopper.add(pot, 3)
    await shopper.come("/auth/login", "ada@example.org")
    cart = await shopper.cart()
    assert {item["variant_id"]: item["quantity"] for item in cart["items"]} == {pot: 5, cup: 1}
    shopper.headers = account
    assert await shopper.cart() == cart

    for dead in (first, second):
        shopper.headers = {"X-Cart-Token": dead}
        fresh = await shopper.cart()
        assert fresh["items"] == [] and fresh["token"] not in (None, first, second)
        await shopper.add(pot)
        shopper.headers = {**account, "X-Cart-Token": fresh["token"]}
        assert await shopper.cart() == cart, "with an account the header does not count"


async def test_a_cart_that_is_away_keeps_nobody_out(shopper: Shopper) -> None:
    (pot,) = await shopper.bench.stock()
    token = (await shopper.add(pot))["token"]
    service = shopper.bench.market.process.service("cart")
    here, away = service._store, connect("unix:///nowhere/redis.sock")
    service._store = RedisCartStore(RedisUnits(away, SystemClock(), "cart"), CartConfig())
    shopper.headers = {"X-Cart-Token": token}
    status, problem, headers = await shopper.ask("GET", "/cart")
    assert (status, problem["code"], headers["Retry-After"]) == (503, "http.unavailable", "1")
    await shopper.come("/auth/register", "ada@example.org", name="Ada")
    service._store = here
    assert (await shopper.cart())["items"] == []
    shopper.headers = {"X-Cart-Token": token}
    await shopper.come("/auth/login", "ada@example.org")
    assert (await shopper.cart())["quantity"] == 1
    await away.aclose()


@pytest.mark.behaviour("cart-2")
async def test_a_failed_login_merges_nothing(shopper: Shopper) -> None:
    (pot,) = await shopper.bench.stock()
    cart = await shopper.add(pot)
    shopper.headers = {"X-Cart-Token": cart["token"]}
    status, _, _ = await shopper.ask("POST", "/auth/login", {"email": "ada@example.org", "password": PASSWORD})
    assert status == 401
    assert await shopper.cart() == cart
