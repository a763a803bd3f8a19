"""An operator's compensation survives the worker, whenever that is killed: each step is undone once, in reverse."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from marketplace_core import calls
from marketplace_core.adapters.postgres import Database
from marketplace_core.capabilities.catalog import Catalog, SellerRef
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery
from marketplace_core.capabilities.orders import Orders
from marketplace_core.testing.contracts.orders import draft, list_variants
from marketplace_core.testing.doomed import Doomed
from marketplace_core.testing.marketplace import SECRET, Marketplace
from marketplace_core.values import new_id

KILLS = int(os.environ.get("MARKETPLACE_KILLS", "4"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "1"))
AT_ONCE = 6


@pytest.mark.behaviour("orchestrator-1")
@pytest.mark.timeout(3600)
@pytest.mark.costly("as many kills of a worker as it is told to do")
async def test_no_kill_of_the_worker_undoes_twice_or_never(marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    market = await marketplace(["catalog", "orders", "orchestrator"], worker=False)
    database = market.process.resources.database("main")
    [variant] = await list_variants(market.port(Catalog), SellerRef(new_id(), "Kettle"), 1)
    [before] = await _stock(database)
    given_up: list[str] = []
    kills = 0
    while kills < KILLS:
        placed = [await _place(market, variant) for _ in range(AT_ONCE)]
        await database.execute("CREATE TABLE public.away AS SELECT * FROM orders.orders WHERE id = ANY($1::text[])", placed)
        await database.execute("DELETE FROM orders.packages WHERE order_id = ANY($1::text[])", placed)
        await database.execute("DELETE FROM orders.orders WHERE id = ANY($1::text[])", placed)
        worker = Doomed(market.file, market.urls, SECRET, seed=SEED + kills)
        worker.start()
        try:
            await _until_waiting(market, placed, worker)
            await database.execute("INSERT INTO orders.orders SELECT * FROM public.away")
            await database.execute("DROP TABLE public.away")
            for id_ in placed:
                await market.port(Orchestrator).compensate(id_)
                await market.port(Orchestrator).compensate(id_)
            while any(order.status == "pending" for order in await market.port(Orders).get_orders(placed)):
                await worker.check()
                await asyncio.sleep(0.2)
            await worker.disarm()
            await market.settle(60)
        finally:
            await worker.stop()
        kills += worker.kills
        given_up += placed
    await _check(market, given_up)
    assert await _stock(database) == [before]


async def _place(market: Marketplace, variant: str) -> str:
    with calls.scope(calls.Call(key=new_id())):
        return (await market.port(Orders).place(draft([variant]))).id


async def _until_waiting(market: Marketplace, placed: list[str], worker: Doomed) -> None:
    while True:
        page = await market.port(Orchestrator).list_sagas(SagaQuery(status="waiting", limit=100))
        if {saga.id for saga in page.items} >= set(placed):
            return
        await worker.check()
        await asyncio.sleep(0.2)


async def _stock(database: Database) -> list[tuple[int, int, int]]:
    rows = await database.fetch("SELECT on_hand, reserved, allocated FROM catalog.variants")
    return [(row["on_hand"], row["reserved"], row["allocated"]) for row in rows]


async def _check(market: Marketplace, given_up: list[str]) -> None:
    orders = await market.port(Orders).get_orders(given_up)
    assert {(order.status, order.failure.code if order.failure else None) for order in orders} == {
        ("failed", "orders.cancelled_by_operator")
    }
    database = market.process.resources.database("main")
    events = await database.fetch("SELECT key FROM marketplace.outbox WHERE type = 'orders.failed'")
    assert sorted(row["key"] for row in events) == sorted(given_up)
    for id_ in given_up:
        saga = await market.port(Orchestrator).get_saga(id_)
        names = [step.name.partition(":")[2] for step in saga.steps]
        acts = [name for name in names if name in {"commit", "confirm", "restock", "fail"}]
        assert (saga.status, acts) == ("refused", ["commit", "confirm", "restock", "fail"])
