"""Payments in MongoDB, with their ledger on another server: a purchase from its checkout to what its seller may have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace_core.adapters.mongo import Database
from marketplace_core.capabilities.orders import OrderCompleted

WHERE = 'store = "mongo"\non = { payments = "documents", ledger = "main" }'


@pytest.mark.xdist_group("mongo")
@pytest.mark.behaviour("payments-1", "payments-2", "payments-3", "payments-5")
async def test_a_purchase_and_its_ledger(mongo_database: Database, begin: Any) -> None:
    purchase = await begin(settings={"payments": WHERE}, resources={"documents": mongo_database.url})
    payments, ledger = purchase.desk.payments, purchase.desk.database
    assert await ledger.value("SELECT to_regclass('payments.payments')::text") is None
    await purchase.gateway.fault("webhook", "twice", 4)
    await purchase.gateway.fault("capture", "timeout_after_success", 2)
    ids = await asyncio.gather(*(purchase.place("tok_ok", units=3) for _ in range(3)))
    await purchase.market.settle()
    for order in await purchase.orders.get_orders(list(ids)):
        assert (order.status, order.payment.status) == ("confirmed", "authorized")
        await purchase.ship(order, 1)
        await purchase.ship(order, 1)
    await purchase.market.settle()
    [balance] = (await payments.get_balances(purchase.seller.id)).items
    assert (balance.pending.amount, balance.available.amount) == (6000, 0)
    await purchase.orders.cancel_by_operator(ids[0], None, "the rest is not sent")
    await purchase.market.emit(OrderCompleted(order_id=ids[0]))
    await purchase.market.settle()
    [balance] = (await payments.get_balances(purchase.seller.id)).items
    assert (balance.pending.amount, balance.available.amount) == (4000, 2000)
    for id_ in ids:
        released = [("void", 1000)] if id_ == ids[0] else []
        assert await purchase.desk.really(id_) == [("authorize", 3000), ("capture", 1000), ("capture", 1000), *released]
        document = await mongo_database.find_one("payments.payments", {"_id": id_})
        assert document is not None and document["payment"]["captured"] == {"amount": 2000, "currency": "EUR"}
    assert {row["state"] for row in await mongo_database.find("payments.webhooks", {})} == {"applied"}
    assert await mongo_database.count("payments.operations", {"operation.status": {"$ne": "done"}}) == 0
    posted = "SELECT count(DISTINCT set_id) FILTER (WHERE type = 'sale') AS sales, sum(amount)::bigint AS left_over"
    assert await ledger.fetch(f"{posted} FROM payments_ledger.ledger") == [{"sales": 6, "left_over": 0}]
    seen = "SELECT DISTINCT handler FROM marketplace.inbox WHERE handler LIKE 'payments.%' ORDER BY handler"
    assert [row["handler"] for row in await ledger.fetch(seen)] == [
        "payments.on_order_completed",
        "payments.on_payment_captured",
    ]
