"""What a provider of reviews does for those who read them, for sellers, and for those who judge them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from marketplace_core.capabilities.moderation import Content, ContentDecided
from marketplace_core.capabilities.reviews import (
    ReplyDraft,
    ReportDraft,
    Review,
    ReviewPatch,
    ReviewQuery,
    ReviewReported,
    Reviews,
    ReviewSort,
    SellerReviewQuery,
)
from marketplace_core.testing.contracts import paged, refused
from marketplace_core.testing.contracts.reviews_buying import PRODUCT, SELLER, joined, reviewed
from marketplace_core.testing.marketplace import Marketplace

__all__ = ["ReaderRules"]

STARS = (4, 1, 5, 1, 3)

#: By sort, what pages are in the order of; equal ones in the order of their ids, or against it.
ORDERS: dict[ReviewSort, tuple[Callable[[Review], Any], bool]] = {
    "newest": (lambda review: (review.created_at, review.id), True),
    "helpful": (lambda review: (review.helpful, review.id), True),
    "rating": (lambda review: (review.rating, review.id), False),
    "-rating": (lambda review: (review.rating, review.id), True),
}


def decided(review_id: str, version: int, *, approved: bool, kind: str = "review") -> ContentDecided:
    content = Content(kind, review_id, version)
    return ContentDecided(subject=content.key, content=content, approved=approved, reason_code=None if approved else "abuse")


class ReaderRules:
    async def test_pages_are_in_the_order_that_is_asked_for(self, market: Marketplace, reviews: Reviews) -> None:
        ids, bob = await reviewed(market, reviews, *STARS), await joined(market, "Bob")
        for id_ in ids[1:3]:
            await reviews.vote(bob, id_, True)
        every = [await reviews.get_review(id_, None) for id_ in ids]
        for sort, (key, descends) in ORDERS.items():
            for rating in (None, 1):
                expected = [one for one in sorted(every, key=key, reverse=descends) if rating in (None, one.rating)]

                async def ask(cursor: str | None, sort: ReviewSort = sort, rating: int | None = rating) -> Any:
                    return await reviews.list_reviews(PRODUCT, ReviewQuery(sort=sort, rating=rating, limit=2, cursor=cursor))

                assert await paged(ask) == expected, (sort, rating)

    async def test_a_cursor_belongs_to_its_sort_and_filter(self, market: Marketplace, reviews: Reviews) -> None:
        await reviewed(market, reviews, 1, 1, 1)
        cursor = (await reviews.list_reviews(PRODUCT, ReviewQuery(limit=1, sort="rating"))).next
        for query in (ReviewQuery(cursor=cursor, sort="-rating"), ReviewQuery(cursor=cursor, sort="rating", rating=1)):
            await refused("paging.bad_cursor", reviews.list_reviews(PRODUCT, query))

    @pytest.mark.behaviour("reviews-1")
    async def test_a_person_finds_it_helpful_once(self, market: Marketplace, reviews: Reviews) -> None:
        ada, bob, eve = [await joined(market, name) for name in ("Ada", "Bob", "Eve")]
        [id_] = await reviewed(market, reviews, 5, author=ada)
        await asyncio.gather(*(reviews.vote(person, id_, True) for person in (bob, eve) * 3))
        assert (await reviews.get_review(id_, None)).helpful == 2
        for _ in range(2):
            await reviews.vote(bob, id_, False)
        assert (await reviews.get_review(id_, None)).helpful == 1
        await refused("reviews.own", reviews.vote(ada, id_, True))
        await refused("http.not_found", reviews.vote(bob, "unknown", True))

    async def test_an_edit_keeps_what_others_think(self, market: Marketplace, reviews: Reviews) -> None:
        ada, bob = await joined(market), await joined(market, "Bob")
        [id_] = await reviewed(market, reviews, 5, author=ada)
        await reviews.vote(bob, id_, True)
        await reviews.reply(SELLER, id_, ReplyDraft("Thank you!"))
        await reviews.edit_review(ada, id_, ReviewPatch(rating=4))
        await market.settle()
        review = await reviews.get_review(id_, None)
        assert review.reply is not None and (review.rating, review.helpful, review.reply.text) == (4, 1, "Thank you!")

    @pytest.mark.behaviour("reviews-1")
    async def test_a_person_reports_it_once(self, market: Marketplace, reviews: Reviews) -> None:
        bob, eve = await joined(market, "Bob"), await joined(market, "Eve")
        [id_] = await reviewed(market, reviews, 1)
        await market.stop_worker()
        for person in (bob, bob, eve):
            await reviews.report(person, id_, ReportDraft("It is abuse."))
        await refused("http.not_found", reviews.report(bob, "unknown", ReportDraft("It is abuse.")))
        told = [one.decode() for one in await market.outgoing("reviews")]
        assert [(one.review_id, one.reports) for one in told if isinstance(one, ReviewReported)] == [(id_, 1), (id_, 2)]

    @pytest.mark.behaviour("reviews-1")
    async def test_a_seller_replies_once_to_what_is_its_own(self, market: Marketplace, reviews: Reviews) -> None:
        [id_] = await reviewed(market, reviews, 2)
        await refused("http.not_found", reviews.reply("another", id_, ReplyDraft("Buy mine!")))
        answered = await reviews.reply(SELLER, id_, ReplyDraft("We are sorry."))
        await refused("reviews.already_replied", reviews.reply(SELLER, id_, ReplyDraft("We are not.")))
        review = await reviews.get_review(id_, None)
        assert answered == review and review.reply is not None and review.reply.text == "We are sorry."

    async def test_a_seller_sees_its_own_by_what_it_asks(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        ids = await reviewed(market, reviews, 5, 1, author=ada)
        ids += await reviewed(market, reviews, 5, author=ada, product="other")
        await reviewed(market, reviews, 5, author=ada, product="foreign", seller="another")
        await reviews.reply(SELLER, ids[0], ReplyDraft("Thank you!"))

        async def seen(**filters: Any) -> list[str]:
            async def ask(cursor: str | None) -> Any:
                return await reviews.list_seller_reviews(SELLER, SellerReviewQuery(limit=1, cursor=cursor, **filters))

            return [review.id for review in await paged(ask)]

        assert await seen() == ids[::-1]
        assert await seen(rating=5) == [ids[2], ids[0]]
        assert await seen(product_id="other") == [ids[2]]
        assert (await seen(replied=True), await seen(replied=False)) == ([ids[0]], [ids[2], ids[1]])

    # ── ratings ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("reviews-2")
    async def test_ratings_follow_what_is_published(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        first, second, third = await reviewed(market, reviews, 5, 4, 1, author=ada)
        await reviewed(market, reviews, 2, author=ada, product="other")
        await reviews.edit_review(ada, first, ReviewPatch(rating=3))
        await reviews.edit_review(ada, first, ReviewPatch(rating=2))
        await reviews.delete_review(ada, second)
        await market.settle()
        page = await reviews.list_reviews(PRODUCT, ReviewQuery(rating=1))
        assert [review.id for review in page.items] == [third]
        assert (page.rating.average, page.rating.count) == (1.5, 2), "of all of them, whatever the filter"
        [product, unknown] = await reviews.get_ratings("product", [PRODUCT, "unknown"])
        assert product.rating == page.rating and product.rating.histogram == {"1": 1, "2": 1, "3": 0, "4": 0, "5": 0}
        assert (unknown.id, unknown.rating.average, unknown.rating.count) == ("unknown", None, 0)
        [seller] = await reviews.get_ratings("seller", [SELLER])
        assert (seller.rating.average, seller.rating.count) == (1.67, 3)

    async def test_what_few_people_say_weighs_little(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        for product, stars in (("one", [5]), ("many", [5] * 9 + [4]), ("bad", [1]), ("worst", [1] * 9)):
            await reviewed(market, reviews, *stars, author=ada, product=product)
        scores = {
            rated.id: rated.score for rated in await reviews.get_ratings("product", ["one", "many", "bad", "worst", "none"])
        }
        assert sorted(scores, key=scores.__getitem__, reverse=True) == ["many", "one", "none", "bad", "worst"]

    # ── moderation ───────────────────────────────────────────────────────────────────────────────────────────

    async def test_what_is_rejected_is_its_authors_alone(self, market: Marketplace, reviews: Reviews) -> None:
        ada, bob = await joined(market), await joined(market, "Bob")
        [id_] = await reviewed(market, reviews, 1, author=ada)
        await market.deliver(Reviews, decided(id_, 1, approved=False))
        await market.settle()
        own = await reviews.get_review(id_, ada)
        assert (own.status, own.reason_code) == ("rejected", "abuse")
        for act in (reviews.get_review(id_, bob), reviews.vote(bob, id_, True), reviews.reply(SELLER, id_, ReplyDraft("?"))):
            await refused("http.not_found", act)
        page = await reviews.list_reviews(PRODUCT, ReviewQuery())
        assert (page.items, page.rating.count) == ([], 0)
        assert (await reviews.list_seller_reviews(SELLER, SellerReviewQuery())).items == []
        await market.deliver(Reviews, decided(id_, 1, approved=True))
        await market.settle()
        assert (await reviews.get_review(id_, None)).reason_code is None
        assert (await reviews.list_reviews(PRODUCT, ReviewQuery())).rating.count == 1

    async def test_what_was_edited_since_is_judged_by_itself(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        [id_] = await reviewed(market, reviews, 1, author=ada)
        await reviews.edit_review(ada, id_, ReviewPatch(text="Politely: it leaks."))
        await market.settle()
        await market.deliver(Reviews, decided(id_, 1, approved=False))
        assert (await reviews.get_review(id_, None)).status == "published"
        await market.deliver(Reviews, decided(id_, 2, approved=False))
        assert (await reviews.get_review(id_, ada)).status == "rejected"
        await market.deliver(Reviews, decided("deleted", 1, approved=False))

    async def test_a_reply_that_is_rejected_is_not_shown(self, market: Marketplace, reviews: Reviews) -> None:
        [id_] = await reviewed(market, reviews, 1)
        await reviews.reply(SELLER, id_, ReplyDraft("Your own fault."))
        await market.deliver(Reviews, decided(id_, 1, approved=False, kind="reply"))
        review = await reviews.get_review(id_, None)
        assert (review.status, review.reply) == ("published", None)
        await refused("reviews.already_replied", reviews.reply(SELLER, id_, ReplyDraft("Sorry.")))
