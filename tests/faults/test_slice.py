"""A purchase survives its worker, whenever that is killed: catalog, orders and orchestrator under seeded SIGKILLs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.cart import CartOwner
from marketplace_core.capabilities.catalog import Catalog, LineRequest, MoneyInput, ProductDraft, SellerRef, VariantDraft
from marketplace_core.capabilities.orders import Orders, PlaceOrder
from marketplace_core.testing.doomed import Doomed
from marketplace_core.testing.marketplace import SECRET, Marketplace
from marketplace_core.values import Address, Money, new_id

PLUGINS = ["catalog", "orders", "orchestrator"]
ADDRESS = Address(name="Ada", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")
KILLS = int(os.environ.get("MARKETPLACE_KILLS", "10"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "1"))
STOCK = 1_000_000
AT_ONCE = 4


@pytest.mark.behaviour("orchestrator-1")
@pytest.mark.timeout(3600)
@pytest.mark.costly("as many kills of a worker as it is told to do")
async def test_no_kill_of_the_worker_loses_or_repeats(
    marketplace: Callable[..., Awaitable[Marketplace]],
) -> None:
    market = await marketplace(PLUGINS, worker=False)
    variants = await _stocked(market)
    worker = Doomed(market.file, market.urls, SECRET, seed=SEED)
    worker.start()
    placed: list[str] = []
    try:
        while worker.kills < KILLS:
            await worker.check()
            placed += await asyncio.gather(*(_place(market, variants, len(placed) + n) for n in range(AT_ONCE)))
            await _until_ended(market, placed[-AT_ONCE:], worker)
        await worker.disarm()
        await market.settle(60)
    finally:
        await worker.stop()
    await _check(market, variants, placed)


async def _stocked(market: Marketplace) -> list[str]:
    catalog, seller = market.port(Catalog), SellerRef(new_id(), "Kettle & Sons")
    await catalog.set_seller(seller, True, 1)
    drafts = tuple(
        VariantDraft(sku=f"pot-{n}", price=MoneyInput(1000, "EUR"), stock=STOCK, options={"size": str(n)}) for n in range(3)
    )
    product = await catalog.create_product(seller.id, ProductDraft(title="Tea pot", variants=drafts))
    await catalog.publish_product(seller.id, product.id)
    return [variant.id for variant in product.variants]


async def _place(market: Marketplace, variants: Sequence[str], number: int) -> str:
    lines = tuple(LineRequest(id_, 1) for id_ in variants[: number % 3 + 1])
    request = PlaceOrder(
        owner=CartOwner(),
        address=ADDRESS,
        email="ada@example.org",
        payment=None,
        expected_total=Money(1000 * len(lines), "EUR"),
        lines=lines,
    )
    with calls.scope(calls.Call(key=f"order-{number}")):
        return (await market.port(Orders).place(request)).id


async def _until_ended(market: Marketplace, ids: list[str], worker: Doomed) -> None:
    while any(order.status == "pending" for order in await market.port(Orders).get_orders(ids)):
        await worker.check()
        await asyncio.sleep(0.02)


async def _check(market: Marketplace, variants: Sequence[str], placed: list[str]) -> None:
    orders = await market.port(Orders).get_orders(placed)
    assert {order.status for order in orders} == {"confirmed"}
    assert sorted(int(order.number or 0) for order in orders) == list(range(1, len(placed) + 1))
    bought = dict.fromkeys(variants, 0)
    for order in orders:
        for line in order.packages[0].items:
            bought[line.variant_id] += line.quantity
    database = market.process.resources.database("main")
    rows = await database.fetch("SELECT id, on_hand, reserved, allocated FROM catalog.variants")
    assert {row["id"]: (row["on_hand"], row["reserved"], row["allocated"]) for row in rows} == {
        id_: (STOCK, 0, count) for id_, count in bought.items()
    }
    behind = await database.fetch(
        "SELECT i.handler, i.key, i.sequence, a.sequence AS last FROM marketplace.inbox i JOIN marketplace.aggregates a"
        " ON i.key = a.topic || ':' || a.key WHERE i.handler = 'orchestrator.on_event' AND i.parked_at IS NOT NULL"
    )
    assert behind == []
    gaps = await database.fetch(
        "SELECT topic, key FROM marketplace.outbox WHERE kind = 'event' GROUP BY topic, key"
        " HAVING count(DISTINCT sequence) <> count(*) OR max(sequence) <> count(*) OR min(sequence) <> 1"
    )
    assert gaps == []
