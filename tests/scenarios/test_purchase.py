"""A purchase from register to completed, and every other way that it can end, over public HTTP only."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

from marketplace_core.testing.shop import ADDRESS, Shop


@pytest.mark.behaviour("cart-7", "orders-1", "orders-2", "logistics-2", "payments-5")
async def test_two_sellers_from_cart_to_completed(shop: Shop) -> None:
    kettle, lamp = await shop.open_seller("Kettle"), await shop.open_seller("Lamp")
    pot = await shop.list_product(kettle, "Tea Pot", 2495)
    light = await shop.list_product(lamp, "Desk Light", 4900)
    buyer = await shop.buyer()

    placed = await shop.order(buyer, [(pot, 2), (light, 1)])
    assert placed["status"] == "pending" and placed["number"] is None
    order = await shop.ended(buyer, placed["id"])

    assert order["status"] == "confirmed" and order["number"] is not None
    assert (await buyer.get("/cart"))["items"] == []
    assert len(order["packages"]) == 2
    for name in ("subtotal", "discount", "tax", "shipping", "total"):
        assert sum(package[name]["amount"] for package in order["packages"]) == order[name]["amount"]
        lines = sum(line[name]["amount"] for package in order["packages"] for line in package["items"] if name in line)
        assert name in {"shipping", "total"} or lines == order[name]["amount"]
    total = order["total"]["amount"]
    assert await shop.ledger(order["id"]) == [("authorize", total)]

    shipped = 0
    for seller in (kettle, lamp):
        [package] = (await seller.get("/orders"))["items"]
        shipment = await seller.post(f"/orders/{package['id']}/ship", None, 202)
        ready = await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "label_created")
        label = await seller.get(f"/shipments/{shipment['id']}/label")
        assert label.startswith(b"%PDF")
        for code in ("in_transit", "out_for_delivery", "delivered"):
            await shop.carriers.call("POST", f"/shipments/{ready['tracking_number']}/advance", {"code": code})
        await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "delivered")
        tracking = await shop.make("buyer").get(f"/tracking/{ready['tracking_token']}")
        assert tracking["status"] == "delivered" and "Bea" not in str(tracking)
        shipped += package["total"]["amount"]
    assert shipped == total

    delivered = await buyer.until(f"/orders/{order['id']}", lambda one: one["status"] == "delivered")
    assert delivered["payment"]["status"] == "captured"
    ledger = await shop.ledger(order["id"])
    assert sorted(kind for kind, _ in ledger) == ["authorize", "capture", "capture"]
    assert sum(amount for kind, amount in ledger if kind == "capture") == total

    await shop.admin.post("/clock", {"advance": 15 * 86400})
    for person, email in ((buyer, "bea"), (kettle, "kettle"), (lamp, "lamp")):  # access tokens live for ten minutes
        await person.log_in(f"{email}@example.org")
    await buyer.until(f"/orders/{order['id']}", lambda one: one["status"] == "completed")
    await shop.market.settle()
    balances = [row for seller in (kettle, lamp) for row in (await seller.get("/balance"))["items"]]
    earned = sum(row["available"]["amount"] for row in balances)
    assert 0 < earned < total


@pytest.mark.behaviour("cart-4", "cart-5")
async def test_a_declined_card_leaves_the_cart_and_the_stock(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 2)], card="tok_declined")
    order = await shop.ended(buyer, placed["id"])
    assert order["status"] == "failed" and order["failure"]["code"] == "payments.declined"
    assert order["number"] is None
    cart = await buyer.get("/cart")
    assert [(item["quantity"], item["available"]) for item in cart["items"]] == [(2, 5)]
    assert await shop.ledger(order["id"]) == []


@pytest.mark.behaviour("payments-1")
@pytest.mark.parametrize("outcome", ["succeed", "fail", "expire"])
async def test_three_d_secure(shop: Shop, outcome: Literal["succeed", "fail", "expire"]) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 1)], card="tok_3ds")
    path = f"/orders/{placed['id']}"
    waiting = await buyer.until(path, lambda one: one["payment"] is not None and one["payment"]["action"] is not None)
    assert waiting["status"] == "pending" and waiting["payment"]["status"] == "requires_action"
    if outcome == "expire":
        await shop.admin.post("/clock", {"advance": 16 * 60})
        await buyer.log_in("bea@example.org")
    else:
        await shop.payments.challenge(waiting["payment"]["action"]["url"].rsplit("/", 1)[-1], outcome)
    order = await shop.ended(buyer, placed["id"])
    assert order["status"] == ("confirmed" if outcome == "succeed" else "failed")
    if outcome != "succeed":
        code = {"fail": "payments.authentication_failed", "expire": "payments.action_expired"}[outcome]
        assert order["failure"]["code"] == code
        assert (await buyer.get("/cart"))["items"][0]["available"] == 20
    await shop.market.settle()
    expected = [("authorize", placed["total"]["amount"])] if outcome == "succeed" else []
    assert await shop.ledger(order["id"]) == expected


@pytest.mark.behaviour("orders-3")
async def test_cancelled_before_shipping_gives_stock_and_money_back(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 2)])
    await shop.ended(buyer, placed["id"])
    cancelled = await buyer.post(f"/orders/{placed['id']}/cancel", {"reason": "changed my mind"}, 202)
    assert cancelled["status"] == "cancelled"
    await shop.market.settle()
    order = await buyer.get(f"/orders/{placed['id']}")
    assert order["payment"]["status"] == "voided"
    product = await buyer.get(f"/products/{pot['id']}")
    assert product["variants"][0]["available"] == 5
    assert await shop.ledger(order["id"]) == [("authorize", order["total"]["amount"]), ("void", order["total"]["amount"])]


@pytest.mark.behaviour("all-1")
async def test_twenty_equal_orders_at_once_with_one_key_are_one(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    await buyer.post("/cart/items", {"variant_id": pot["variants"][0]["id"], "quantity": 1})
    quote = await buyer.post("/checkout/quote", {"address": ADDRESS})
    body = shop.order_body(quote, "tok_ok")

    async def once() -> Any:
        while True:
            answer = await buyer.send("POST", "/orders", body, headers={"Idempotency-Key": "one"})
            if answer.status != 409:
                return answer
            assert answer.body["code"] == "idempotency.in_flight" and int(answer.headers["Retry-After"]) >= 1
            await asyncio.sleep(0.02)

    answers = await asyncio.gather(*(once() for _ in range(20)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    await shop.market.settle()
    assert len((await buyer.get("/orders"))["items"]) == 1
    assert len(await shop.ledger(answers[0].body["id"])) == 1


@pytest.mark.behaviour("cart-6")
async def test_a_guest_buys_with_an_order_token(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    guest = shop.make("buyer")
    cart = await guest.get("/cart")
    guest.headers["X-Cart-Token"] = cart["token"]
    await guest.post("/cart/items", {"variant_id": pot["variants"][0]["id"], "quantity": 1})
    quote = await guest.post("/checkout/quote", {"country": "DE", "postal_code": "10115"})
    body = {**shop.order_body(quote, "tok_ok"), "email": "guest@example.org"}
    placed = await guest.post("/orders", body, 202, Idempotency_Key="guest-1")
    path, token = f"/orders/{placed['id']}", placed["token"]
    assert token
    await guest.get(path, 404)
    await guest.get(path, 404, X_Order_Token="guessed")
    order = await guest.until(path, lambda one: one["status"] == "confirmed", X_Order_Token=token)
    assert order["email"] == "guest@example.org"


@pytest.mark.behaviour("cart-2")
async def test_a_cart_follows_its_guest_into_the_account(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    first = await shop.buyer()
    await first.post("/cart/items", {"variant_id": pot["variants"][0]["id"], "quantity": 1})
    guest = shop.make("buyer")
    token = (await guest.get("/cart"))["token"]
    await guest.post("/cart/items", {"variant_id": pot["variants"][0]["id"], "quantity": 2}, X_Cart_Token=token)
    guest.headers["X-Cart-Token"] = token
    await guest.log_in("bea@example.org")
    assert [item["quantity"] for item in (await guest.get("/cart"))["items"]] == [3]
    dead = await shop.make("buyer").get("/cart", X_Cart_Token=token)
    assert dead["items"] == [] and dead["token"] not in {None, token}


@pytest.mark.behaviour("orchestrator-1")
async def test_a_worker_stops_while_a_saga_waits_and_the_next_one_goes_on(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 1)], card="tok_3ds")
    path = f"/orders/{placed['id']}"
    waiting = await buyer.until(path, lambda one: one["payment"] is not None and one["payment"]["action"] is not None)
    await shop.market.settle()
    async with asyncio.timeout(5):
        await shop.market.stop_worker()
    await shop.payments.challenge(waiting["payment"]["action"]["url"].rsplit("/", 1)[-1], "succeed")
    await shop.market.start_worker()
    assert (await shop.ended(buyer, placed["id"]))["status"] == "confirmed"


async def test_an_order_is_followed_by_server_sent_events(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 1)], card="tok_3ds")
    path = f"/orders/{placed['id']}"
    waiting = await buyer.until(path, lambda one: one["payment"] is not None and one["payment"]["action"] is not None)
    seen = await buyer.listen(f"{path}/events", until=1)
    assert seen[0].event == "order" and seen[0].data["type"] == "orders.placed"
    following = asyncio.create_task(buyer.listen(f"{path}/events", str(len(waiting["timeline"]))))
    await asyncio.sleep(0.2)  # it waits in the service, which may be another process
    await shop.payments.challenge(waiting["payment"]["action"]["url"].rsplit("/", 1)[-1], "succeed")
    assert (await shop.ended(buyer, placed["id"]))["status"] == "confirmed"
    await buyer.post(f"{path}/cancel", {"reason": "changed my mind"}, 202)
    told = await asyncio.wait_for(following, 20)
    assert [one.event for one in told] == ["order"] * (len(told) - 1) + ["end"]
    assert {"orders.confirmed", "orders.items_cancelled"} <= {one.data["type"] for one in told[:-1]}
    assert told[-1].data == {"status": "cancelled"}
