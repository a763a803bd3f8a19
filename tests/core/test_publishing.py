"""What is published does not depend on who is known to listen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, SellerRef
from marketplace_core.capabilities.orders import Orders
from marketplace_core.ports import Delivery
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.orders import draft, list_variants
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id


@pytest.mark.behaviour("events-3")
async def test_an_event_that_nobody_is_known_to_hear_is_published(
    marketplace: Callable[..., Awaitable[Marketplace]],
) -> None:
    """Whoever comes later finds it, with those of its aggregate without a gap."""
    market = await marketplace(plugins := ["catalog", "orders", "orchestrator"])
    process = market.process
    known = {type_ for plugin in plugins for each in process.subscriptions(plugin) for type_ in each.types}
    assert "orders.placed" in known and "orders.confirmed" not in known
    variants = await list_variants(market.port(Catalog), SellerRef(new_id(), "Kettle"), 1)
    with calls.scope(calls.Call(key=new_id())):
        placed = await market.port(Orders).place(draft(variants))
    await market.settle()
    found: list[tuple[str, int]] = []

    async def hear(delivery: Delivery) -> None:
        if delivery.message.key == placed.id:
            found.append((delivery.message.type, delivery.message.sequence))

    late = asyncio.create_task(process.bus.consume("late", ["orders"]).run(hear))
    try:
        await eventually(lambda: found == [("orders.placed", 1), ("orders.confirmed", 2)], within=20)
    finally:
        late.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await late
