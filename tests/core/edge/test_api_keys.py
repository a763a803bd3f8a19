"""A shop run by a program: what an API key opens, what it does not, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import Shop
from marketplace_core.values import new_id


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "wire"))


def by_key(shop: Shop, made: Any) -> Client:
    client = shop.make(made["audience"])
    client.headers["Authorization"] = f"Bearer {made['key']}"
    return client


async def test_a_program_lists_products_and_ships(shop: Shop) -> None:
    kettle = await shop.open_seller("Kettle")
    program = by_key(shop, await kettle.post("/api-keys", {"name": "erp"}, 201))
    pot = await shop.list_product(program, "Tea Pot", 2495)
    buyer = await shop.buyer()
    await shop.ended(buyer, (await shop.order(buyer, [(pot, 1)]))["id"])
    [package] = (await program.get("/orders"))["items"]
    shipment = await program.post(f"/orders/{package['id']}/ship", None, 202)
    ready = await program.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "label_created")
    depot = by_key(shop, await shop.courier.post("/api-keys", {"name": "depot"}, 201))
    code = {"code": "in_transit", "location": "Berlin", "occurred_at": None}
    moved = await depot.post(f"/shipments/{shipment['id']}/events", {k: v for k, v in code.items() if v})
    assert moved["status"] == "in_transit" and ready["tracking_number"]
    assert (await program.get("/shop"))["name"] == "Kettle"
    assert (await program.get("/balance"))["items"]
    for closed in ("/me", "/me/addresses", "/auth/sessions", "/api-keys", "/applications/current"):
        assert (await program.get(closed, 403))["code"] == "auth.forbidden"


async def test_a_key_does_what_its_scopes_say_for_its_own_shop(shop: Shop) -> None:
    kettle, lamp = await shop.open_seller("Kettle"), await shop.open_seller("Lamp")
    pot = await shop.list_product(kettle, "Tea Pot", 2495)
    made = await lamp.post("/api-keys", {"name": "stock", "scopes": ["products:read"]}, 201)
    reader = by_key(shop, made)
    assert (await reader.get("/products"))["items"] == []
    await reader.get(f"/products/{pot['id']}", 404)
    assert "products:write" in (await reader.post("/products", {"title": "X", "variants": []}, 403))["detail"]
    assert "orders:read" in (await reader.get("/orders", 403))["detail"]
    await kettle.delete(f"/api-keys/{made['id']}", 404)
    await lamp.delete(f"/api-keys/{made['id']}")
    assert (await reader.get("/products", 401))["code"] == "auth.token_invalid"


async def test_a_program_repeats_a_request(shop: Shop) -> None:
    kettle = await shop.open_seller("Kettle")
    program, other = [by_key(shop, await kettle.post("/api-keys", {"name": name}, 201)) for name in ("erp", "shop")]
    draft = {"title": "Tea Pot", "variants": [{"sku": "POT", "price": {"amount": 1, "currency": "EUR"}, "stock": 1}]}
    first = await program.post("/products", draft, 201, Idempotency_Key="one")
    assert await program.post("/products", draft, 201, Idempotency_Key="one") == first
    assert await other.post("/products", draft, 201, Idempotency_Key="one") == first, "the scope is the account"
    keys = [await kettle.post("/api-keys", {"name": "again"}, 201, Idempotency_Key="two") for _ in range(2)]
    assert keys[0] == keys[1]


async def test_a_key_of_a_shop_that_an_admin_made(shop: Shop) -> None:
    kettle = await shop.open_seller("Kettle")
    seller_id = (await kettle.get("/shop"))["id"]
    program = by_key(shop, await shop.admin.post("/api-keys", {"name": "x", "audience": "seller", "seller_id": seller_id}, 201))
    assert (await program.get("/shop"))["id"] == seller_id
    [shown] = (await kettle.get("/api-keys"))["items"]
    nobodys = await shop.admin.post("/api-keys", {"name": "x", "audience": "seller", "seller_id": new_id()}, 422)
    assert [(each["pointer"], each["code"]) for each in nobodys["errors"]] == [("/seller_id", "not_found")]
    await kettle.delete(f"/api-keys/{shown['id']}")
    await program.get("/shop", 401)


@pytest.mark.parametrize("runner", ["wire", "processes"], indirect=True)
@pytest.mark.behaviour("auth-2", "sellers-2")
async def test_keys_end_with_the_account_and_go_on_with_a_suspended_shop(shop: Shop) -> None:
    kettle = await shop.open_seller("Kettle")
    program = by_key(shop, await kettle.post("/api-keys", {"name": "erp"}, 201))
    await shop.market.port(Sellers).set_suspended((await program.get("/shop"))["id"], True, "for a test")
    assert (await program.get("/shop"))["status"] == "suspended", "existing orders go on, as for its people"
    [account] = (await shop.admin.get("/accounts?email=kettle@example.org"))["items"]
    await shop.admin.post(f"/accounts/{account['id']}/disable", {"reason": "fraud"}, 204)
    assert (await program.get("/shop", 401))["code"] == "auth.token_invalid"
    await shop.admin.post(f"/accounts/{account['id']}/enable", None, 204)
    await program.get("/shop")
