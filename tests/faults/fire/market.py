"""What a whole marketplace shows of what was done in it: reviews with their stars, the index, the reports of sellers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tests.faults.fire.errands import Purchase
from tests.faults.fire.invariants import Truth
from tests.faults.fire.people import Offer, People, Written

__all__ = ["check_found", "check_reports", "check_reviews", "look_at_market"]

T = TypeVar("T")
#: Seconds within which what follows the events is as it will be: it is no truth, and quiet does not wait for all of it.
SOON = 60.0


async def look_at_market(truth: Truth, people: People, offer: Offer, purchases: Sequence[Purchase]) -> None:
    """Everything that :class:`~.people.Shopping` says of it, on a marketplace that is quiet."""
    guest = people.person("buyer", "nobody@example.org")
    if people.shopping.reviews:
        products = {review.product for review in people.written}

        async def pages() -> dict[str, tuple[list[Any], Any]]:
            return {
                product: (await guest.items(f"/products/{product}/reviews"), await guest.get(f"/products/{product}/reviews"))
                for product in sorted(products)
            }

        shown = await _soon(pages, lambda found: sum(len(items) for items, _ in found.values()) >= len(people.written))
        told = {product: page["rating"]["count"] for product, (_, page) in shown.items()}
        check_reviews(truth, people.written, [item["id"] for items, _ in shown.values() for item in items], told)
    if people.shopping.market:
        wanted = {product["id"] for product in await guest.items("/products")}

        async def hits() -> list[str]:
            return [hit["id"] for hit in await guest.items("/search?q=product")]

        check_found(truth, wanted, await _soon(hits, lambda found: wanted <= set(found)))
        sold = _sold(purchases)

        async def reports() -> dict[str, int]:
            return {
                id_: sum(row["orders"] for row in (await seller.get("/reports/sales?interval=month"))["items"])
                for id_, seller in people.sellers.items()
            }

        check_reports(truth, sold, await _soon(reports, lambda found: found == {id_: sold.get(id_, 0) for id_ in found}))


def _sold(purchases: Iterable[Purchase]) -> dict[str, int]:
    """Orders that were confirmed, by seller."""
    found: dict[str, int] = defaultdict(int)
    for purchase in purchases:
        if purchase.confirmed_at is not None:
            for seller in purchase.sellers:
                found[seller] += 1
    return found


async def _soon(look: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    """What it shows once it is good, or at last."""
    until = time.monotonic() + SOON
    while not good(found := await look()) and time.monotonic() < until:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(1.0)
    return found


def check_reviews(truth: Truth, written: Sequence[Written], shown: Sequence[str], told: Mapping[str, int]) -> None:
    """``shown``: ids of all that the products show; ``told``: how many stars each product says that it has."""
    often = Counter(shown)
    for review in written:
        if not truth.check("every accepted review is shown once", often[review.id] == 1, f"{review.id}: {often[review.id]}"):
            (truth.repeated if often[review.id] else truth.lost).add(review.id)
    for id_ in often.keys() - {review.id for review in written}:
        truth.check("each request made one review", False, f"{id_} is nobody's")
        truth.repeated.add(id_)
    for product, count in Counter(review.product for review in written).items():
        truth.check("stars are counted once", told.get(product) == count, f"{product}: {told.get(product)} and not {count}")


def check_found(truth: Truth, products: set[str], hits: Sequence[str]) -> None:
    truth.check("every product is found", products <= set(hits), f"{sorted(products - set(hits))} are not")
    truth.check("no product is found twice", len(set(hits)) == len(hits), str(hits))


def check_reports(truth: Truth, sold: Mapping[str, int], told: Mapping[str, int]) -> None:
    """Orders by seller: what was confirmed, and what the reports say."""
    for seller, count in sold.items():
        got = told.get(seller, 0)
        if not truth.check("each order is reported once", got == count, f"{seller}: {got} and not {count}"):
            (truth.lost if got < count else truth.repeated).add(f"report of {seller}")
