"""Orders over HTTP, as buyers, guests, sellers and operators meet them. Nobody takes money or brings parcels here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.shop import ADDRESS, PASSWORD, Shop

PLUGINS = ["auth", "users", "sellers", "catalog", "cart", "orders", "orchestrator"]


@pytest.fixture
async def shop(marketplace: Callable[..., Awaitable[Marketplace]]) -> AsyncIterator[Shop]:
    market = await marketplace(PLUGINS, http=True)
    await market.port(Auth).ensure_account(Registration("admin@example.org", PASSWORD, "Admin"), ("admin",))
    nobody: Any = None
    async with clients(market.url) as make:
        admin = make("admin")
        await admin.log_in("admin@example.org")
        yield Shop(market=market, make=make, payments=nobody, carriers=nobody, admin=admin, courier=nobody)


@pytest.mark.behaviour("cart-4", "cart-7", "orders-1")
async def test_from_quote_to_confirmed(shop: Shop) -> None:
    products = [
        await shop.list_product(await shop.open_seller(name), f"{name} pot", price)
        for name, price in (("Kettle", 2495), ("Lamp", 4900))
    ]
    buyer = await shop.buyer()
    for product in products:
        await buyer.post("/cart/items", {"variant_id": product["variants"][0]["id"], "quantity": 2})
    for body in ({"address": ADDRESS}, {"country": "DE", "postal_code": "10115"}):
        quote = await buyer.post("/checkout/quote", body)
        assert [package["items"][0]["total"]["amount"] for package in quote["packages"]] == [4990, 9800]
        assert (quote["total"]["amount"], quote["shipping"]["amount"], quote["problems"]) == (14790, 0, [])
    answer = await buyer.send("POST", "/orders", shop.order_body(quote, "tok_ok"), headers={"Idempotency-Key": "one"})
    assert answer.status == 202
    path = f"/orders/{answer.body['id']}"
    assert answer.headers["Location"] == f"/buyer/v1{path}"
    assert (answer.body["status"], answer.body["number"], answer.body["token"]) == ("pending", None, None)
    order = await shop.ended(buyer, answer.body["id"])
    assert (order["status"], order["number"], order["email"]) == ("confirmed", "000001", "bea@example.org")
    assert [package["number"] for package in order["packages"]] == ["000001-1", "000001-2"]
    assert (await buyer.get("/cart"))["items"] == []
    [listed] = (await buyer.get("/orders?status=confirmed"))["items"]
    assert listed == {**order, "timeline": []}
    await buyer.get(f"{path}/payment", 404)


@pytest.mark.behaviour("all-1")
async def test_a_key_is_needed_and_used_once(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 1)])
    total = {"amount": 2495, "currency": "EUR"}
    body = {"address": ADDRESS, "payment": {"method": "card", "token": "tok_ok"}, "expected_total": total}
    refused = await buyer.post("/orders", body, 400)
    assert refused["code"] == "idempotency.key_required"
    reused = await buyer.post("/orders", {**body, "email": "b@example.org"}, 422, Idempotency_Key="order-1")
    assert reused["code"] == "idempotency_key_reused"
    await shop.ended(buyer, placed["id"])
    first = await buyer.send("POST", "/orders", body, headers={"Idempotency-Key": "empty"})
    again = await buyer.send("POST", "/orders", body, headers={"Idempotency-Key": "empty"})
    assert (first.status, first.body["code"]) == (again.status, again.body["code"]) == (409, "cart.empty")
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers


@pytest.mark.behaviour("all-2")
async def test_what_is_refused(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=3)
    buyer = await shop.buyer()
    assert (await buyer.post("/checkout/quote", {"address": ADDRESS}, 409))["code"] == "cart.empty"
    await buyer.post("/cart/items", {"variant_id": pot["variants"][0]["id"], "quantity": 5})
    quote = await buyer.post("/checkout/quote", {"address": ADDRESS, "coupon": "SPRING"})
    assert [(one["code"], one["detail"]) for one in quote["problems"]] == [("out_of_stock", "3 can be bought now.")]
    assert quote["coupon"] == {"code": "SPRING", "applied": False, "problem": "There is no such coupon."}
    assert (await buyer.post("/checkout/quote", {}, 422))["errors"][0]["pointer"] == "/address"
    good = shop.order_body(quote, "tok_ok")
    for body, status, code, pointers in (
        (good, 409, "orders.out_of_stock", ["/lines/0"]),
        ({**good, "coupon": "SPRING"}, 409, "coupons.not_applicable", []),
        ({**good, "address": None}, 422, "validation", ["/address"]),
        ({**good, "address": None, "address_id": "x"}, 422, "validation", ["/address_id"]),
        ({**good, "note": "ring twice"}, 422, "validation", ["/note"]),
        ({**good, "payment": {"method": "card"}, "expected_total": {"amount": -1}}, 422, "validation", None),
    ):
        answer = await buyer.send("POST", "/orders", body, headers={"Idempotency-Key": f"{code}{pointers}"})
        assert (answer.status, answer.body["code"]) == (status, code)
        assert pointers is None or [problem["pointer"] for problem in answer.body.get("errors", [])] == pointers
    await buyer.patch(f"/cart/items/{pot['variants'][0]['id']}", {"quantity": 1})
    changed = await buyer.post("/orders", good, 409, Idempotency_Key="changed")
    assert (changed["code"], changed["errors"][0]["pointer"]) == ("cart.changed", "/expected_total")
    assert (await buyer.get("/cart"))["items"][0]["available"] == 3


@pytest.mark.behaviour("cart-6", "orders-4", "all-2")
async def test_another_persons_order_is_not_there(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer, other, guest = await shop.buyer(), await shop.buyer("eve@example.org"), shop.make("buyer")
    own = await shop.order(buyer, [(pot, 1)])
    guest.headers["X-Cart-Token"] = (await guest.get("/cart"))["token"]
    await guest.post("/cart/items", {"variant_id": pot["variants"][0]["id"], "quantity": 1})
    quote = await guest.post("/checkout/quote", {"address": ADDRESS})
    without = await guest.post("/orders", shop.order_body(quote, "tok_ok"), 422, Idempotency_Key="g")
    assert without["errors"][0]["pointer"] == "/email"
    body = {**shop.order_body(quote, "tok_ok"), "email": "guest@example.org"}
    guests = await guest.post("/orders", body, 202, Idempotency_Key="g2")
    token = guests["token"]
    assert (await guest.post("/orders", body, 202, Idempotency_Key="g2"))["token"] == token
    for who, path, headers in (
        (other, f"/orders/{own['id']}", {}),
        (guest, f"/orders/{own['id']}", {"X_Order_Token": token}),
        (shop.make("buyer"), f"/orders/{own['id']}", {}),
        (shop.make("buyer"), f"/orders/{guests['id']}", {}),
        (buyer, f"/orders/{guests['id']}", {}),
        (guest, f"/orders/{guests['id']}", {"X_Order_Token": "é"}),
    ):
        await who.get(path, 404, **headers)
        await who.get(f"{path}/payment", 404, **headers)
        await who.get(f"{path}/events", 404, **headers)
        await who.post(f"{path}/cancel", None, 404, **headers)
    await guest.until(f"/orders/{guests['id']}", lambda one: one["status"] == "confirmed", X_Order_Token=token)
    assert [one["id"] for one in (await buyer.get("/orders"))["items"]] == [own["id"]]
    assert (await other.get("/orders"))["items"] == []
    await shop.make("buyer").get("/orders", 401)


@pytest.mark.behaviour("all-3", "all-4")
async def test_tags_and_pages(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    ids = [(await shop.order(buyer, [(pot, 1)], key=f"k{n}"))["id"] for n in range(1)]
    for n in range(1, 3):
        await shop.ended(buyer, ids[-1])
        ids.append((await shop.order(buyer, [(pot, 1)], key=f"k{n}"))["id"])
    await shop.market.settle()
    page = await buyer.get("/orders?limit=2")
    rest = await buyer.get(f"/orders?limit=2&cursor={page['next']}")
    assert [one["id"] for one in page["items"] + rest["items"]] == ids[::-1] and rest["next"] is None
    bad = await buyer.get(f"/orders?limit=2&status=failed&cursor={page['next']}", 400)
    assert bad["code"] == "paging.bad_cursor"
    path = f"/orders/{ids[0]}"
    tag = (await buyer.send("GET", path)).headers["ETag"]
    assert (await buyer.send("GET", path, headers={"If-None-Match": tag})).status == 304
    await buyer.post(f"{path}/cancel", None, 202)
    assert (await buyer.send("GET", path, headers={"If-None-Match": tag})).status == 200


@pytest.mark.behaviour("orders-3", "orders-4", "sellers-3")
async def test_a_seller_ships_and_declines(shop: Shop) -> None:
    seller, other = await shop.open_seller("Kettle"), await shop.open_seller("Lamp")
    pot = await shop.list_product(seller, "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 3)])
    await shop.ended(buyer, placed["id"])
    [package] = (await seller.get("/orders"))["items"]
    path = f"/orders/{package['id']}"
    assert package == await seller.get(path)
    assert (package["order_id"], package["order_number"], package["buyer_note"]) == (placed["id"], "000001", None)
    assert package["address"]["name"] == ADDRESS["name"]
    fee = package["commission"]["amount"]
    assert 0 < fee < 7485 and package["net"]["amount"] == 7485 - fee
    item = package["items"][0]["id"]
    answer = await seller.send("POST", f"{path}/ship", {"items": [{"item_id": item, "quantity": 1}], "tracking_number": "X1"})
    shipment = answer.body
    assert answer.status == 202 and answer.headers["Location"] == f"/seller/v1/shipments/{shipment['id']}"
    assert (shipment["status"], shipment["tracking_number"]) == ("pending", "X1")
    assert shipment["items"] == [{"item_id": item, "quantity": 1}] and shipment["tracking_token"]
    assert await seller.get(f"/shipments/{shipment['id']}") == shipment
    too_many = await seller.post(f"{path}/ship", {"items": [{"item_id": item, "quantity": 3}]}, 409)
    assert too_many["code"] == "orders.not_shippable"
    await seller.post(f"{path}/ship", {"items": [{"item_id": item, "quantity": 0}]}, 422)
    for method, foreign in (
        ("GET", path),
        ("POST", f"{path}/ship"),
        ("POST", f"{path}/decline"),
        ("GET", f"/shipments/{shipment['id']}"),
    ):
        assert (await other.send(method, foreign)).status == 404
    assert (await other.get("/orders"))["items"] == []
    declined = await seller.post(f"{path}/decline", {"reason": "broken", "items": [{"item_id": item, "quantity": 1}]}, 202)
    assert declined["items"][0]["cancelled"] == 1
    assert (await buyer.get(f"/orders/{placed['id']}"))["status"] == "partially_shipped"
    cancelled = await buyer.post(f"/orders/{placed['id']}/cancel", {"reason": "too late"}, 202)
    assert (cancelled["status"], cancelled["packages"][0]["items"][0]["cancelled"]) == ("shipped", 2)
    again = await buyer.post(f"/orders/{placed['id']}/cancel", None, 409)
    assert again["code"] == "orders.not_cancellable"
    assert (await seller.post(f"{path}/decline", None, 409))["code"] == "orders.not_cancellable"
    nobody = shop.make("seller")
    await nobody.register("none@example.org")
    assert (await nobody.get("/orders", 403))["code"] == "sellers.no_shop"


async def test_operators_see_and_cancel(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 1)])
    order = await shop.ended(buyer, placed["id"])
    for query in ("number=000001", "email=BEA@example.org", "status=confirmed", "created_after=2020-01-01T00:00:00Z"):
        assert [one["id"] for one in (await shop.admin.get(f"/orders?{query}"))["items"]] == [order["id"]]
    assert (await shop.admin.get("/orders?created_after=2999-01-01T00:00:00Z"))["items"] == []
    assert await shop.admin.get(f"/orders/{order['id']}") == order
    await shop.admin.get("/orders/unknown", 404)
    cancelled = await shop.admin.post(f"/orders/{order['id']}/cancel", {"reason": "fraud"}, 202)
    assert cancelled["status"] == "cancelled"
    assert [(one["actor"], one["detail"]) for one in cancelled["timeline"]][-1] == ("admin", "fraud")


# ── server-sent events ───────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_followed_to_its_end(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 2)])
    first, second = await buyer.listen(f"/orders/{placed['id']}/events", until=2)
    assert (first[:2], second[:2]) == (("1", "order"), ("2", "order"))
    assert first[2]["type"] == "orders.placed" and first[2]["order"]["id"] == placed["id"]
    assert (second[2]["type"], second[2]["order"]["status"]) == ("orders.confirmed", "confirmed")
    assert second[2]["at"] == second[2]["order"]["timeline"][1]["at"]

    await shop.ended(buyer, placed["id"])
    some = {"items": [{"item_id": placed["packages"][0]["items"][0]["id"], "quantity": 1}]}
    await buyer.post(f"/orders/{placed['id']}/cancel", some, 202)
    [third] = await buyer.listen(f"/orders/{placed['id']}/events", "2", until=1)
    assert (third[0], third[2]["type"]) == ("3", "orders.items_cancelled")
    later = asyncio.create_task(buyer.listen(f"/orders/{placed['id']}/events", "400", until=1))  # more than there are yet
    await asyncio.sleep(0.1)
    await buyer.post(f"/orders/{placed['id']}/cancel", None, 202)
    assert [number for number, _, _ in await asyncio.wait_for(later, 10)] == ["4"]
    whole = await buyer.listen(f"/orders/{placed['id']}/events")
    assert [(number, event) for number, event, _ in whole] == [*((str(n), "order") for n in range(1, 5)), (None, "end")]
    for last in ("4", "99999999999999999999999", "400"):
        assert await buyer.listen(f"/orders/{placed['id']}/events", last) == [(None, "end", {"status": "cancelled"})]
    for last in ("", "x", "-1", "²"):
        assert len(await buyer.listen(f"/orders/{placed['id']}/events", last)) == 5
