"""Money survives the worker, whenever that is killed: every order is charged for what was sent, once."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from marketplace_core.testing.doomed import Doomed
from marketplace_core.testing.marketplace import SECRET

KILLS = int(os.environ.get("MARKETPLACE_KILLS", "4"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "1"))
UNITS = 3


@pytest.mark.behaviour("payments-1", "payments-3", "payments-5")
@pytest.mark.timeout(3600)
@pytest.mark.costly("as many kills of a worker as it is told to do")
async def test_no_kill_of_the_worker_charges_twice_or_never(begin: Any) -> None:
    purchase = await begin(worker=False)
    worker = Doomed(purchase.market.file, purchase.market.urls, SECRET, seed=SEED)
    worker.start()
    placed: list[str] = []
    try:
        while worker.kills < KILLS:
            await worker.check()
            batch = await asyncio.gather(*(purchase.place(token, UNITS) for token in ("tok_ok", "tok_twice", "tok_declined")))
            for order in await _ended(purchase, batch, worker):
                if order.status == "confirmed":
                    await purchase.ship(order, 1)
                    await purchase.ship(order, 1)
            placed += batch
        await worker.disarm()
        for order in await purchase.orders.get_orders(placed):
            if order.status != "failed":
                await purchase.orders.cancel_by_operator(order.id, None, "the rest is not sent")
        await purchase.market.settle(60)
    finally:
        await worker.stop()
    await _check(purchase, placed)


async def _ended(purchase: Any, ids: list[str], worker: Doomed) -> list[Any]:
    while True:
        orders = await purchase.orders.get_orders(ids)
        if all(order.status != "pending" for order in orders):
            return list(orders)
        await worker.check()
        await asyncio.sleep(0.02)


async def _check(purchase: Any, placed: list[str]) -> None:
    orders = await purchase.orders.get_orders(placed)
    sent = [order for order in orders if order.status != "failed"]
    assert len(sent) == 2 * len(placed) // 3
    for order in orders:
        once = [("authorize", 3000), ("capture", 1000), ("capture", 1000), ("void", 1000)]
        assert await purchase.desk.really(order.id) == (once if order in sent else []), order.id
        assert order.payment.status == ("captured" if order in sent else "failed")
    [balance] = (await purchase.desk.payments.get_balances(purchase.seller.id)).items
    assert balance.pending.amount == 2000 * len(sent)
    assert await purchase.desk.database.value("SELECT sum(amount)::bigint FROM payments_ledger.ledger") == 0
    assert await purchase.desk.database.value("SELECT count(*) FROM payments.operations WHERE status = 'pending'") == 0
