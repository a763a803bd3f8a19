"""A purchase with its money: checkout, webhooks, shipping, completion, beside the real simulator."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.orders import Order
from marketplace_core.testing.client import clients

PASSWORD = "correct horse battery"


@pytest.fixture(params=["wire"])
def runner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def purchase(begin: Any, runner: str) -> Any:
    return await begin(runner=runner)


def _money(order: Order) -> tuple[str, int, int]:
    assert order.payment is not None
    return order.payment.status, order.payment.authorized.amount, order.payment.captured.amount


@pytest.mark.behaviour("payments-1", "payments-5", "orders-3")
async def test_paid_shipped_in_two_parcels_and_the_rest_cancelled(purchase: Any) -> None:
    id_ = await purchase.place("tok_twice", units=4)
    order = await purchase.settled(id_)
    assert (order.status, _money(order)) == ("confirmed", ("authorized", 4000, 0))
    await purchase.ship(order, 1)
    await purchase.ship(order, 2)
    order = await purchase.settled(id_)
    assert _money(order) == ("partially_captured", 4000, 3000)
    await purchase.orders.cancel_by_operator(id_, None, "no more")
    order = await purchase.settled(id_)
    assert _money(order) == ("captured", 4000, 3000)
    assert await purchase.desk.really(id_) == [("authorize", 4000), ("capture", 1000), ("capture", 2000), ("void", 1000)]
    [balance] = (await purchase.desk.payments.get_balances(purchase.seller.id)).items
    assert (balance.pending.amount, balance.available.amount) == (3000, 0)
    assert await purchase.free() == purchase.STOCK - 3
    states = await purchase.desk.database.fetch("SELECT DISTINCT state FROM payments.webhooks")
    assert [row["state"] for row in states] == ["applied"]


@pytest.mark.behaviour("cart-5")
async def test_declined(purchase: Any) -> None:
    order = await purchase.settled(await purchase.place("tok_declined"))
    assert order.status == "failed" and order.failure is not None and order.failure.code == "payments.declined"
    assert order.payment is not None and order.payment.status == "failed"
    assert await purchase.free() == purchase.STOCK


@pytest.mark.behaviour("payments-1")
@pytest.mark.parametrize("heard", ["by webhook", "by asking"])
async def test_the_holder_agrees(purchase: Any, heard: str) -> None:
    id_ = await purchase.place("tok_3ds")
    order = await purchase.settled(id_)
    assert order.status == "pending" and order.payment is not None and order.payment.action is not None
    assert order.payment.action.url.startswith(purchase.gateway.url)
    if heard == "by asking":
        await purchase.gateway.fault("webhook", "lost", 9)
    await purchase.gateway.challenge(await purchase.desk.gateway_id(id_), "succeed")
    if heard == "by asking":
        await purchase.desk.advance(6)
    order = await purchase.settled(id_)
    assert (order.status, _money(order)) == ("confirmed", ("authorized", 2000, 0))
    assert await purchase.desk.really(id_) == [("authorize", 2000)]


async def test_the_holder_is_refused(purchase: Any) -> None:
    id_ = await purchase.place("tok_3ds")
    await purchase.settled(id_)
    await purchase.gateway.challenge(await purchase.desk.gateway_id(id_), "fail")
    order = await purchase.settled(id_)
    assert order.status == "failed" and order.failure is not None
    assert order.failure.code == "payments.authentication_failed"
    assert await purchase.free() == purchase.STOCK


async def test_the_holder_does_not_come(purchase: Any) -> None:
    id_ = await purchase.place("tok_3ds")
    await purchase.settled(id_)
    await purchase.desk.advance(901)
    order = await purchase.settled(id_)
    assert order.status == "failed" and order.failure is not None and order.failure.code == "payments.action_expired"
    assert await purchase.free() == purchase.STOCK
    assert await purchase.desk.really(id_) == []


@pytest.mark.behaviour("payments-2")
@pytest.mark.parametrize("runner", ["local"], indirect=False)
@pytest.mark.parametrize("kind", ["twice", "late", "out_of_order", "lost", "before_answer"])
async def test_whatever_becomes_of_webhooks(purchase: Any, kind: str) -> None:
    await purchase.gateway.fault("webhook", kind, 4)
    id_ = await purchase.place("tok_ok", units=3)
    order = await purchase.settled(id_)
    await purchase.ship(order, 1)
    await purchase.ship(order)
    order = await purchase.settled(id_)
    assert _money(order) == ("captured", 3000, 3000)
    assert await purchase.desk.really(id_) == [("authorize", 3000), ("capture", 1000), ("capture", 2000)]
    assert (await purchase.desk.payments.get_balances(purchase.seller.id)).items[0].pending.amount == 3000
    flagged = await purchase.desk.database.fetch("SELECT note FROM payments.webhooks WHERE state = 'flagged'")
    assert flagged == []


@pytest.mark.behaviour("cart-5")
@pytest.mark.parametrize("runner", ["local"], indirect=False)
@pytest.mark.parametrize("kind", ["timeout_after_success", "down", "slow"])
async def test_whatever_becomes_of_answers(purchase: Any, kind: str) -> None:
    await purchase.gateway.fault("any", kind, 3)
    id_ = await purchase.place("tok_ok")
    order = await purchase.settled(id_)
    await purchase.gateway.fault("any", kind, 2)
    await purchase.ship(order)
    order = await purchase.settled(id_)
    assert (order.status, _money(order)) == ("shipped", ("captured", 2000, 2000))
    assert await purchase.desk.really(id_) == [("authorize", 2000), ("capture", 2000)]


@pytest.mark.parametrize("runner", ["local"], indirect=False)
async def test_over_http(purchase: Any) -> None:
    auth = purchase.market.port(Auth)
    await auth.ensure_account(Registration("root@example.org", PASSWORD, "Root"), ("admin",))
    id_ = await purchase.place("tok_ok")
    order = await purchase.settled(id_)
    async with clients(purchase.market.url) as make:
        buyer, admin = make("buyer"), make("admin")
        for _ in range(2):
            methods = await buyer.get("/payment-methods")
        assert methods == {"items": [{"method": "card", "gateway": "simulator", "title": "Card (simulated)"}]}
        await admin.get(f"/payments/{id_}", 401)
        await admin.log_in("root@example.org", PASSWORD)
        payment = await admin.get(f"/payments/{order.payment.id}")
        assert await admin.get(f"/payments/{id_}") == payment
        await admin.get("/payments/nothing", 404)
        await admin.post(f"/payments/{id_}/operations/nothing/retry", None, 404)
        await purchase.gateway.fault("capture", "decline")
        await purchase.ship(order)
        await purchase.market.settle()
        refused = (await admin.get(f"/payments/{id_}"))["operations"][1]
        assert (refused["kind"], refused["status"], refused["failure"]) == ("capture", "failed", "payments.declined")
        again = await admin.post(f"/payments/{id_}/operations/{refused['id']}/retry", None, 202)
        assert again["operations"][1]["id"] == refused["id"]
        await admin.until(f"/payments/{id_}", lambda found: found["status"] == "captured")
    [operation] = payment.pop("operations")
    assert (operation["kind"], operation["status"], operation["amount"]) == ("authorize", "done", payment["authorized"])
    assert operation.keys() == {"id", "kind", "amount", "status", "gateway_id", "at", "failure"}
    assert payment == {
        "id": order.payment.id,
        "gateway": "simulator",
        "status": "authorized",
        "authorized": {"amount": 2000, "currency": "EUR"},
        "captured": {"amount": 0, "currency": "EUR"},
        "refunded": {"amount": 0, "currency": "EUR"},
        "action": None,
        "order_id": id_,
    }
