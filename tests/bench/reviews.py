"""Reviews: what an update of a rating costs however many there are, and how soon what is written is seen and counted."""

from __future__ import annotations

import time

from figures import Bench, Line, figure
from marketplace_reviews.domain import difference
from marketplace_reviews.store import Counted
from marketplace_reviews.stores.postgres_ratings import PostgresRatingStore

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import SystemClock, new_id

REVIEWS = 1_000_000
BATCH = 100_000
UPDATES = 200
POSTS = 100

_FILL = """
INSERT INTO reviews_ratings.counted (review_id, product_id, seller_id, rating)
SELECT 'bench-' || n, 'bench-many', 'bench', 1 + n % 5 FROM generate_series($1::int, $2::int) AS n
"""
_TALLY = """
INSERT INTO reviews_ratings.tallies (kind, id, stars_1, stars_2, stars_3, stars_4, stars_5)
VALUES ('product', 'bench-many', $1::int, $1::int, $1::int, $1::int, $1::int)
"""
_LINES = """
INSERT INTO reviews.lines (item_id, order_id, account_id, product_id, seller_id, package_id, delivered_at)
SELECT unnest($1::text[]), 'bench', $2, $3, $4, 'bench', now()
"""


@figure("ratings")
async def ratings(bench: Bench) -> list[Line]:
    """An update of a rating with 1,000,000 reviews of its product, beside one of a product that has none."""
    reviews = REVIEWS // 10 if bench.quick else REVIEWS
    async with bench.started() as market:
        database = market.database()
        for begin in range(0, reviews, BATCH):
            await database.execute(_FILL, begin, begin + BATCH - 1)
        await database.execute(_TALLY, reviews // 5)
        await database.execute("ANALYZE reviews_ratings.counted")
        bench.say(f"{reviews:,} ratings of one product")
        ours, floor = [], []
        for _ in range(bench.runs):
            ours.append(await _updates(database, "bench-many"))
            floor.append(await _updates(database, new_id()))
        await database.execute("DELETE FROM reviews_ratings.counted WHERE seller_id = 'bench'")
        await database.execute("DELETE FROM reviews_ratings.tallies WHERE id = 'bench-many'")
        await database.close()
    note = f"{reviews:,} reviews of the product, beside none"
    return [Line(name="rating aggregate, an update", unit="ms", ours=ours, floor=floor, at_most=1.3, note=note)]


async def _updates(database: Database, product_id: str) -> float:
    """Milliseconds of one."""
    units, store = PostgresUnits(database, SystemClock(), "reviews"), PostgresRatingStore(database)

    async def count(uow: UnitOfWork, rating: int) -> None:
        counted = Counted(f"bench-new-{product_id}", product_id, f"bench-{product_id}", rating)
        added = difference(await store.put(uow, counted), rating)
        await store.add(uow, "product", product_id, added)
        await store.add(uow, "seller", counted.seller_id, added)

    began = time.perf_counter()
    for number in range(UPDATES):
        await units.run(lambda uow, rating=1 + number % 5: count(uow, rating))
    return 1000 * (time.perf_counter() - began) / UPDATES


@figure("reviews")
async def reviews(bench: Bench) -> list[Line]:
    """From the POST of a review until everybody sees it and its product's page shows it among the stars."""
    posts = POSTS // 5 if bench.quick else POSTS
    async with bench.started() as market, market.client() as buyer:
        user = await buyer.log_in(**market.accounts["buyer"])
        product = (await buyer.get("/products?limit=1"))["items"][0]
        database, lines = market.database(), [new_id() for _ in range(posts)]
        await database.execute(_LINES, lines, user["user"]["id"], product["id"], product["seller"]["id"])
        taken = []
        for line in lines:
            body = {"rating": 5, "text": "It holds tea.", "order_item_id": line}
            before = (await buyer.get(f"/products/{product['id']}"))["rating"]["count"]
            began = time.perf_counter()
            await buyer.post(f"/products/{product['id']}/reviews", body, 202)
            await buyer.until(f"/products/{product['id']}", lambda page, before=before: page["rating"]["count"] > before)
            taken.append(time.perf_counter() - began)
        await database.close()
    p99 = sorted(taken)[max(0, round(len(taken) * 0.99) - 1)]
    return [
        Line(name="a review, from POST to counted and shown, p99", unit="s", ours=[p99], at_most=2.0, note=f"{posts} reviews")
    ]
