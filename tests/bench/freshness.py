"""How soon a product that is published is found, and one that is sold out is gone from the feed."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from figures import Bench, Line, figure

from marketplace_core.testing.client import Client, clients
from marketplace_core.values import new_id

PRODUCTS = 100
#: As shops do while an import is not going on.
A_SECOND = 4
LATE = 2.0
LOOK_SECONDS, PATIENCE = 0.02, 60.0
Act = Callable[[Any], Awaitable[None]]


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
        path = f"/search?q={category['id']}&sort=newest&limit=100"
        found = await _each(products, lambda product: _publish(seller, product), make("buyer"), path, shown=True)
        feed = f"/feed?category={category['id']}&limit=100"
        await make("buyer").until(feed, lambda page: len(page["items"]) == count, seconds=60.0)
        bench.say("selling them out")
        gone = await _each(products, lambda product: _sell_out(seller, product), make("buyer"), feed, shown=False)
    return [_line("from publish to found, p99", found), _line("from sold out to gone from the feed, p99", gone)]


async def _draft(seller: Client, category: Any) -> Any:
    variant = {"sku": new_id(), "price": {"amount": 1000, "currency": "EUR"}, "stock": 5}
    draft = {"title": f"Bench {category['id']}", "category_id": category["id"], "variants": [variant]}
    return await seller.post("/products", draft, 201)


async def _publish(seller: Client, product: Any) -> None:
    await seller.post(f"/products/{product['id']}/publish", None, 202)


async def _sell_out(seller: Client, product: Any) -> None:
    await seller.post("/stock", {"items": [{"sku": product["variants"][0]["sku"], "quantity": 0}]})


async def _each(products: Sequence[Any], act: Act, buyer: Client, path: str, *, shown: bool) -> list[float]:
    """Seconds from the beginning of each, so many a second, until ``path`` shows it, or does not any more. One looks for all:
    a hundred who ask all the time would be what is measured."""
    began: dict[str, float] = {}
    ended: dict[str, float] = {}

    async def begin(number: int, product: Any) -> None:
        await asyncio.sleep(number / A_SECOND)
        began[product["id"]] = time.perf_counter()
        await act(product)

    acting = asyncio.gather(*(begin(number, product) for number, product in enumerate(products)))
    deadline = time.perf_counter() + len(products) / A_SECOND + PATIENCE
    while len(ended) < len(products) and time.perf_counter() < deadline:
        there = {item["id"] for item in (await buyer.get(path))["items"]}
        now = time.perf_counter()
        ended |= {id_: now for id_ in began if id_ not in ended and (id_ in there) is shown}
        await asyncio.sleep(LOOK_SECONDS)
    await acting
    return [ended.get(id_, deadline) - begun for id_, begun in began.items()]


def _line(name: str, seconds: list[float]) -> Line:
    ordered = sorted(seconds)
    p99 = ordered[max(0, round(len(ordered) * 0.99) - 1)]
    note = f"{len(ordered)} products, {A_SECOND} a second; p50 {statistics.median(ordered):.2f} s"
    return Line(name=name, unit="s", ours=[p99], at_most=LATE, note=note)
