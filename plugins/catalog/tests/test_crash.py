"""Workers that are killed at any moment draw every picture that was sent, and leave nothing else behind."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.pictures import SentPicture
from marketplace_core.testing.contracts.catalog_shelves import Shelf, shelve
from marketplace_core.testing.doomed import Doomed
from marketplace_core.testing.marketplace import SECRET, Marketplace
from marketplace_core.values import new_id
from plugins.catalog.tests.test_pictures import drawn

KILLS = int(os.environ.get("MARKETPLACE_KILLS", "2"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "1"))


@pytest.mark.behaviour("catalog-4")
@pytest.mark.timeout(300)
@pytest.mark.costly("as many kills of a worker as it is told to do")
async def test_no_kill_of_a_worker_loses_a_picture_or_draws_another(
    marketplace: Callable[..., Awaitable[Marketplace]],
) -> None:
    market = await marketplace(["catalog"], worker=False)
    catalog, blobs = market.port(Catalog), market.process.blobs
    shelves: list[Shelf] = []
    worker = Doomed(market.file, market.urls, SECRET, seed=SEED)
    worker.start()
    try:
        while worker.kills < KILLS:
            await worker.check()
            shelves.append(shelf := await shelve(catalog, 5))
            two = [SentPicture(f"{n}.png", f"uploads/catalog/ab/{new_id()}") for n in range(2)]
            await blobs.put({one.key or "": drawn((200, 100 + n)) for n, one in enumerate(two)})
            await catalog.add_images(shelf.seller.id, shelf.product_id, two, None)
        await worker.disarm()
        await market.settle(60)
    finally:
        await worker.stop()
    pages = await catalog.get_pages([shelf.product_id for shelf in shelves])
    assert [len(page.images) for page in pages] == [2] * len(shelves)
    images = [image for page in pages for image in page.images]
    shown = {image.url for image in images} | {size.url for image in images for size in image.sizes.values()}
    assert shown == {entry.key for entry in await blobs.list("catalog/", limit=100_000)}
