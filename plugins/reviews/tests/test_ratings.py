"""Ratings are what counting the reviews anew gives, at a cost that does not grow, in a store of their own."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from marketplace_reviews import plugin
from marketplace_reviews.domain import Tally
from marketplace_reviews.stores.postgres import PostgresReviewStore
from marketplace_reviews.stores.postgres_ratings import PostgresRatingStore

from marketplace_core._runtime.operators import AllOperations
from marketplace_core.capabilities.reviews import ReviewDraft, ReviewPatch, ReviewQuery, Reviews
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.reviews_buying import PRODUCT, SELLER, bought, joined, reviewed
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.servers import Servers
from plugins.reviews.tests.conftest import PLUGINS, QUICK, Open


@pytest.mark.behaviour("reviews-2")
async def test_any_sequence_of_commands_ends_at_what_is_written(market: Marketplace) -> None:
    reviews, dice, ada = market.port(Reviews), random.Random(15), await joined(market)
    kept: dict[str, tuple[str, int]] = {}
    for _ in range(40):
        product, rating = dice.choice(["pot", "lamp"]), dice.randint(1, 5)
        act = dice.choice(["write", "write", "edit", "edit", "delete"]) if kept else "write"
        one = dice.choice(list(kept)) if kept else ""
        if act == "write":
            draft = ReviewDraft(rating=rating, order_item_id=await bought(market, ada, product=product))
            kept[(await reviews.write_review(ada, product, draft)).id] = product, rating
        elif act == "edit":
            await reviews.edit_review(ada, one, ReviewPatch(rating=rating))
            kept[one] = kept[one][0], rating
        else:
            await reviews.delete_review(ada, one)
            del kept[one]
    await market.settle()
    store = PostgresRatingStore(market.process.resources.database("main"))
    for product in ("pot", "lamp"):
        counts = Counter(rating for of, rating in kept.values() if of == product)
        expected = Tally(tuple(counts[stars] for stars in range(1, 6)))
        assert (await store.tallies("product", [product]))[product] == await store.recount("product", product) == expected
    counts = Counter(rating for _, rating in kept.values())
    expected = Tally(tuple(counts[stars] for stars in range(1, 6)))
    assert (await store.tallies("seller", [SELLER]))[SELLER] == await store.recount("seller", SELLER) == expected


@pytest.mark.behaviour("events-2")
async def test_what_cannot_be_counted_waits_where_ratings_are_kept(
    marketplace: Open, marketplace_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [step for step in plugin.migrations() if step.role == "ratings"]
    apart = await marketplace_servers.create_migrated({"reviews.ratings": steps})
    settings = dict.fromkeys(("auth", "users"), 'on.postgres = "main"')
    settings["auth"] += f"\n{QUICK['auth']}"
    settings["reviews"] = 'on.reviews = "main"\non.ratings = "apart"'
    market = await marketplace(PLUGINS, settings=settings, resources={"apart": apart})
    reviews, operations = market.port(Reviews), AllOperations(market.process)
    main, other = (market.process.resources.database(name) for name in ("main", "apart"))

    async def fails(*_: Any) -> Any:
        raise RuntimeError("a mistake")

    with monkeypatch.context() as broken:
        broken.setattr(PostgresRatingStore, "add", fails)
        ada = await joined(market)
        draft = ReviewDraft(rating=4, order_item_id=await bought(market, ada))
        await reviews.write_review(ada, PRODUCT, draft)
        await market.settle(failures=True)
    [parked] = await operations.list_parked()
    assert parked.handler == "reviews.on_review_changed" and "a mistake" in parked.error
    assert [await each.value("SELECT count(*) FROM marketplace.parked") for each in (main, other)] == [0, 1]
    page = await reviews.list_reviews(PRODUCT, ReviewQuery())
    assert ([review.rating for review in page.items], page.rating.count) == ([4], 0)
    await operations.request_parked(parked.id, drop=False)

    async def counted() -> bool:
        return (await reviews.list_reviews(PRODUCT, ReviewQuery())).rating.count == 1

    await eventually(counted)
    assert await other.value("SELECT count(*) FROM marketplace.inbox WHERE handler = 'reviews.on_review_changed'") == 1
    assert await main.value("SELECT count(*) FROM marketplace.inbox WHERE handler = 'reviews.on_review_changed'") == 0


async def test_a_page_costs_the_same_however_many_there_are(market: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    [id_] = await reviewed(market, market.port(Reviews), 3)
    database = market.process.resources.database("main")
    await database.execute(
        "INSERT INTO reviews.reviews (id, product_id, seller_id, account_id, status, rating, helpful, replied, created_at,"
        " document) SELECT id || n, product_id, seller_id, account_id, status, 1 + n % 5, n % 7, replied,"
        " created_at - n * interval '1 second', document FROM reviews.reviews, generate_series(1, 20000) AS n WHERE id = $1",
        id_,
    )
    await database.execute("ANALYZE reviews.reviews")
    asked: list[tuple[str, tuple[Any, ...]]] = []
    store = PostgresReviewStore(database)

    async def noted(sql: str, *params: Any) -> list[Any]:
        asked.append((sql, params))
        return []

    with monkeypatch.context() as patch:
        patch.setattr(database, "fetch", noted)
        for sort in ("newest", "helpful", "rating", "-rating"):
            for rating in (None, 2):
                await store.list_published(PRODUCT, ReviewQuery(sort=sort, rating=rating), None)
    assert len(asked) == 8
    for sql, params in asked:
        plan = "\n".join(row["QUERY PLAN"] for row in await database.fetch(f"EXPLAIN {sql}", *params))
        # The few pictures of each are sorted.
        assert "Seq Scan" not in plan and "Sort" not in plan.partition("SubPlan")[0], f"{params}\n{plan}"
