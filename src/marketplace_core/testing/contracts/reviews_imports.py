"""What a provider of reviews does with those of another system."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from marketplace_core.capabilities.reviews import ImportReview, ReviewPatch, ReviewQuery, Reviews
from marketplace_core.testing.contracts.reviews_buying import PRODUCT, SELLER, bought, joined
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id

__all__ = ["ImportRules"]

THEN = datetime(2017, 3, 4, 5, tzinfo=UTC)


def past(account_id: str, **given: Any) -> ImportReview:
    return replace(
        ImportReview(
            id=new_id(),
            order_id=new_id(),
            order_item_id=new_id(),
            product_id=PRODUCT,
            seller_id=SELLER,
            account_id=account_id,
            author="Ada L.",
            rating=2,
            title="",
            text="Chegou tarde.",
            delivered_at=THEN,
            created_at=THEN,
        ),
        **given,
    )


class ImportRules:
    async def test_a_review_of_another_system_is_shown_once_as_it_was(self, market: Marketplace, reviews: Reviews) -> None:
        """Also that of an order which has not been heard of; then its author may change it, and a repeat does not."""
        ada, bob = await joined(market), await joined(market, "Bob")
        known = await bought(market, ada)
        given = [past(ada), past(ada, order_item_id=known, rating=5), past(bob, order_item_id=known)]
        assert [one.status for one in await reviews.import_reviews(given)] == ["written", "written", "rejected"]
        another = past(ada, order_item_id=known)
        assert [one.code for one in await reviews.import_reviews([another, given[0]])] == ["duplicate", None]
        await market.settle()
        found = (await reviews.list_reviews(PRODUCT, ReviewQuery())).items
        assert [(one.author, one.rating, one.text, one.created_at, one.verified) for one in found] == [
            ("Ada L.", rating, "Chegou tarde.", THEN, True) for rating in sorted((2, 5), reverse=found[0].rating == 5)
        ]
        [rated] = await reviews.get_ratings("product", [PRODUCT])
        assert (rated.rating.count, rated.rating.average) == (2, 3.5)
        await reviews.edit_review(ada, given[0].id, ReviewPatch(rating=4))
        await market.settle()
        assert [one.status for one in await reviews.import_reviews(given)] == ["unchanged", "unchanged", "rejected"]
        assert (await reviews.get_review(given[0].id, None)).rating == 4
        await reviews.delete_review(ada, given[0].id)
        await market.settle()
        assert [one.status for one in await reviews.import_reviews(given[:1])] == ["unchanged"]
        assert len((await reviews.list_reviews(PRODUCT, ReviewQuery())).items) == 1
