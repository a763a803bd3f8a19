"""A checkout that was changed under its version: its histories do not fit it. A workflow loads it from here."""

from __future__ import annotations

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.orders import OrderPlaced
from marketplace_core.sagas import SagaContext, saga


@saga("orders.checkout", version=1, start=OrderPlaced)
async def changed(ctx: SagaContext, order: OrderPlaced) -> None:
    await ctx.call(Catalog.commit, order.reservation)
