"""Workers that are killed at any moment carry out every command that was accepted, and count each review once."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest
from marketplace_reviews.domain import Tally
from marketplace_reviews.stores.postgres_ratings import PostgresRatingStore

from marketplace_core.capabilities.orders import EventLine, OrderConfirmed, PackageDelivered
from marketplace_core.capabilities.reviews import ReviewDraft, ReviewPatch, Reviews
from marketplace_core.errors import Conflict
from marketplace_core.testing.contracts.reviews_buying import EUR, PRODUCT, SELLER, joined
from marketplace_core.testing.contracts.surroundings import shipped
from marketplace_core.testing.doomed import Doomed
from marketplace_core.testing.marketplace import SECRET, Marketplace
from marketplace_core.values import new_id
from plugins.reviews.tests.conftest import PLUGINS, QUICK, Open

KILLS = int(os.environ.get("MARKETPLACE_KILLS", "4"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "1"))
AT_ONCE = 4


@pytest.mark.behaviour("reviews-2")
@pytest.mark.timeout(600)
@pytest.mark.costly("as many kills of a worker as it is told to do")
async def test_no_kill_of_a_worker_loses_a_command_or_counts_one_twice(marketplace: Open) -> None:
    market = await marketplace(PLUGINS, settings=QUICK, worker=False)
    reviews, ada, dice = market.port(Reviews), await joined(market), random.Random(SEED)
    database = market.process.resources.database("main")
    worker = Doomed(market.file, market.urls, SECRET, seed=SEED)
    worker.start()
    kept: dict[str, int] = {}
    orders: list[str] = []
    try:
        while worker.kills < KILLS:
            await worker.check()
            lines = [await _sent(market, ada, orders) for _ in range(AT_ONCE)]
            for line in lines:
                draft = ReviewDraft(rating=dice.randint(1, 5), order_item_id=line)
                kept[await _written(reviews, ada, draft, worker)] = draft.rating
            for id_ in dice.sample(list(kept), 2):
                kept[id_] = dice.randint(1, 5)
                await reviews.edit_review(ada, id_, ReviewPatch(rating=kept[id_]))
            gone = dice.choice(list(kept))
            await reviews.delete_review(ada, gone)
            del kept[gone]
        await worker.disarm()
        await market.settle(60)
    finally:
        await worker.stop()
    counts = Counter(kept.values())
    expected = Tally(tuple(counts[stars] for stars in range(1, 6)))
    ratings = PostgresRatingStore(database)
    for kind, id_ in (("product", PRODUCT), ("seller", SELLER)):
        assert (await ratings.tallies(kind, [id_]))[id_] == await ratings.recount(kind, id_) == expected  # type: ignore[arg-type]
    rows = await database.fetch("SELECT id, rating::int AS rating FROM reviews.reviews")
    assert {row["id"]: row["rating"] for row in rows} == kept
    assert await database.value("SELECT count(*) FROM reviews.commands") == 0
    invited = await database.fetch("SELECT key FROM marketplace.outbox WHERE type = 'reviews.invited'")
    assert sorted(row["key"] for row in invited) == sorted(orders)


async def _sent(market: Marketplace, account_id: str, orders: list[str]) -> str:
    """An order that arrives, as orders tells of it; gives its line."""
    line = EventLine(
        item_id=new_id(), variant_id="v", product_id=PRODUCT, seller_id=SELLER, quantity=1, unit_price=EUR, total=EUR
    )
    order_id, package_id = new_id(), new_id()
    await market.emit(
        OrderConfirmed(order_id=order_id, number="1", account_id=account_id, total=EUR, lines=[line]),
        shipped(order_id=order_id, package_id=package_id, seller_id=SELLER, lines=[line]),
        PackageDelivered(order_id=order_id, package_id=package_id, seller_id=SELLER),
    )
    orders.append(order_id)
    return line.item_id


async def _written(reviews: Reviews, account_id: str, draft: ReviewDraft, worker: Doomed) -> str:
    """Once the parcel's arrival is known."""
    while True:
        try:
            return (await reviews.write_review(account_id, PRODUCT, draft)).id
        except Conflict as refusal:
            assert refusal.code == "reviews.not_delivered"
            await worker.check()
            await asyncio.sleep(0.02)
