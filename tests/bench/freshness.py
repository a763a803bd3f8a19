"""How soon a product that is published is found, and one that is sold out is gone from the feed."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

from figures import Bench, Line, figure

from marketplace_core.testing.client import Client, clients
from marketplace_core.values import new_id

PRODUCTS = 100
#: As shops do while an import is not going on.
A_SECOND = 4
LATE = 2.0


@figure("freshness")
async def freshness(bench: Bench) -> list[Line]:
    """From the POST of a publish until the search finds it, and from stock 0 until the feed does not have it."""
    count = PRODUCTS // 5 if bench.quick else PRODUCTS
    async with bench.started() as market, clients(market.audiences) as make:
        seller, admin = make("seller"), make("admin")
        for client in (seller, admin):
            await client.log_in(**market.accounts[client.audience])
        category = await admin.post("/categories", {"name": f"Bench {new_id()}"}, 201)
        products = [await _draft(seller, category) for _ in range(count)]
        bench.say(f"publishing {count} products")
        found = await _each(products, lambda product: _until_found(seller, make("buyer"), product))
        feed = f"/feed?category={category['id']}&limit=100"
        await make("buyer").until(feed, lambda page: len(page["items"]) == min(count, 100), seconds=60.0)
        bench.say("selling them out")
        gone = await _each(products, lambda product: _until_gone(seller, make("buyer"), feed, product))
    return [_line("from publish to found, p99", found), _line("from sold out to gone from the feed, p99", gone)]


async def _draft(seller: Client, category: Any) -> Any:
    title = f"Bench {new_id()}"
    variant = {"sku": title, "price": {"amount": 1000, "currency": "EUR"}, "stock": 5}
    return await seller.post("/products", {"title": title, "category_id": category["id"], "variants": [variant]}, 201)


async def _each(products: Sequence[Any], act: Any) -> list[float]:
    """Seconds of each, begun so many a second."""

    async def one(number: int, product: Any) -> float:
        await asyncio.sleep(number / A_SECOND)
        began = time.perf_counter()
        await act(product)
        return time.perf_counter() - began

    return await asyncio.gather(*(one(number, product) for number, product in enumerate(products)))


async def _until_found(seller: Client, buyer: Client, product: Any) -> None:
    await seller.post(f"/products/{product['id']}/publish", None, 202)
    query = product["title"].rpartition("-")[2]
    await buyer.until(f"/search?q={query}", lambda page: any(hit["id"] == product["id"] for hit in page["items"]), seconds=60.0)


async def _until_gone(seller: Client, buyer: Client, feed: str, product: Any) -> None:
    await seller.post("/stock", {"items": [{"sku": product["variants"][0]["sku"], "quantity": 0}]})
    await buyer.until(feed, lambda page: all(card["id"] != product["id"] for card in page["items"]), seconds=60.0)


def _line(name: str, seconds: list[float]) -> Line:
    ordered = sorted(seconds)
    p99 = ordered[max(0, round(len(ordered) * 0.99) - 1)]
    note = f"{len(ordered)} products, {A_SECOND} a second; p50 {statistics.median(ordered):.2f} s"
    return Line(name=name, unit="s", ours=[p99], at_most=LATE, note=note)
