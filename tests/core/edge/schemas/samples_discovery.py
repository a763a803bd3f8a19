"""Samples of what shoppers find, and of what they tell by looking."""

from __future__ import annotations

from tests.core.edge.schemas.samples import Sample, sample
from tests.core.edge.schemas.world import World


@sample("GET /products/{id}/similar", on=("buyer",))
async def _similar(world: World, audience: str) -> Sample:
    return Sample({"id": world.product["id"]})


@sample("POST /events", on=("buyer",))
async def _seen(world: World, audience: str) -> Sample:
    return Sample(body={"items": [{"type": "view", "product_id": world.product["id"]}]})


@sample("POST /search/clicks", on=("buyer",))
async def _chosen(world: World, audience: str) -> Sample:
    return Sample(body={"q": "pot", "position": 1})
