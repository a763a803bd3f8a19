"""What the catalogue shows of ratings is what it was told last."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.capabilities.catalog import ProductPatch, ProductQuery, Rating
from marketplace_core.capabilities.reviews import ProductRated, RatingSummary
from marketplace_core.testing.contracts.catalog_shelves import open_seller, shelve
from marketplace_core.values import new_id

NOBODY: dict[str, int] = {}


def rated(product_id: str, seller_id: str, average: float | None, count: int, score: float) -> ProductRated:
    return ProductRated(product_id=product_id, seller_id=seller_id, rating=RatingSummary(average, count, NOBODY), score=score)


@pytest.mark.behaviour("reviews-2")
async def test_a_rating_is_shown_until_there_is_another(bench: Any) -> None:
    catalog = bench.catalog
    shelf = await shelve(catalog, 1)
    id_, seller_id = shelf.product_id, shelf.seller.id
    before = await catalog.get_seller_product(seller_id, id_)
    await bench.deliver(rated(id_, seller_id, 4.33, 3, 3.8))
    assert (await catalog.get_product(id_)).page.rating == Rating(4.33, 3)
    assert (await catalog.list_products(ProductQuery(seller=seller_id))).items[0].rating == Rating(4.33, 3)
    [told] = (await bench.events())[-1:]
    assert (told["page"]["rating"], told["recounted"]) == ({"average": 4.33, "count": 3}, False)
    assert await catalog.get_seller_product(seller_id, id_) == before, "to its seller nothing has changed"
    await catalog.update_product(seller_id, id_, ProductPatch(title="A new title"), None)
    assert (await catalog.get_product(id_)).page.rating == Rating(4.33, 3)
    await bench.deliver(rated(id_, seller_id, None, 0, 3.5))
    assert (await catalog.get_product(id_)).page.rating == Rating(None, 0)
    await bench.deliver(rated(new_id(), seller_id, 5.0, 1, 4.0))  # it was deleted meanwhile


async def test_lists_are_sorted_by_the_score_and_what_is_not_rated_comes_last(bench: Any) -> None:
    catalog, seller = bench.catalog, await open_seller(bench.catalog)
    few, many, none, bad = [(await shelve(catalog, 1, seller=seller)).product_id for _ in range(4)]
    for id_, average, count, score in ((few, 5.0, 1, 3.75), (many, 4.8, 90, 4.73), (bad, 1.0, 9, 1.9)):
        await bench.deliver(rated(id_, seller.id, average, count, score))
    query = ProductQuery(seller=seller.id, sort="rating", limit=1)
    found = []
    while True:
        page = await catalog.list_products(query)
        found += [card.id for card in page.items]
        if page.next is None:
            break
        query = ProductQuery(seller=seller.id, sort="rating", limit=1, cursor=page.next)
    assert found == [many, few, bad, none]
