"""The publication of a product: it is judged, and then shown, or kept until a person has decided, or rejected."""

from __future__ import annotations

from marketplace_core.capabilities.catalog import Catalog, PublicationRequested
from marketplace_core.capabilities.moderation import Moderation
from marketplace_core.sagas import SagaContext, saga

__all__ = ["SAGAS"]


@saga("catalog.publish", version=1, start=PublicationRequested)
async def publish(ctx: SagaContext, wanted: PublicationRequested) -> None:
    judged = await ctx.call(Moderation.judge, wanted.submission)
    await ctx.pivot()
    await ctx.call(Catalog.settle_publication, wanted.seller_id, judged)


SAGAS = (publish,)
