"""What a provider of reviews does for those who write them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.reviews import ReviewDraft, ReviewInvited, ReviewPatch, ReviewQuery, Reviews
from marketplace_core.errors import MarketplaceError, NotFound
from marketplace_core.testing.contracts import paged, refused
from marketplace_core.testing.contracts.reviews_buying import PRODUCT, bought, joined, reviewed, under_key
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import PageQuery

__all__ = ["AuthorRules"]


def draft(line: str, rating: int = 4, **fields: Any) -> ReviewDraft:
    return ReviewDraft(rating=rating, order_item_id=line, **fields)


class AuthorRules:
    @pytest.mark.behaviour("reviews-1")
    async def test_only_what_one_has_received_can_be_reviewed(self, market: Marketplace, reviews: Reviews) -> None:
        ada, bob = await joined(market), await joined(market, "Bob")
        lines = [
            "unknown",
            await bought(market, bob),
            await bought(market, None),
            await bought(market, ada, sent=False, delivered=False),
            await bought(market, ada, delivered=False),
            await bought(market, ada, product="another"),
        ]
        for line in lines:
            await refused("reviews.not_delivered", reviews.write_review(ada, PRODUCT, draft(line)))
        assert (await reviews.list_own(ada, PageQuery())).items == []

    async def test_a_part_of_a_package_that_was_never_sent_has_not_arrived(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        cancelled = await bought(market, ada, sent=False, delivered=True)
        await refused("reviews.not_delivered", reviews.write_review(ada, PRODUCT, draft(cancelled)))

    @pytest.mark.behaviour("reviews-1")
    async def test_a_line_has_one_review_whoever_writes_at_once(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        line = await bought(market, ada)
        written = await asyncio.gather(
            *(reviews.write_review(ada, PRODUCT, draft(line, rating)) for rating in (1, 2, 3, 4, 5)), return_exceptions=True
        )
        codes = [each.code for each in written if isinstance(each, MarketplaceError)]
        assert codes == ["reviews.already_written"] * 4
        await market.settle()
        await refused("reviews.already_written", reviews.write_review(ada, PRODUCT, draft(line)))
        assert (await reviews.list_reviews(PRODUCT, ReviewQuery())).rating.count == 1

    async def test_one_key_writes_one_review(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        line = await bought(market, ada)
        with calls.scope(under_key("k")):
            first = await reviews.write_review(ada, PRODUCT, draft(line))
            assert await reviews.write_review(ada, PRODUCT, draft(line)) == first
        assert [review.id for review in (await reviews.list_own(ada, PageQuery())).items] == [first.id]

    async def test_what_is_accepted_is_shown_to_its_author_alone(self, market: Marketplace, reviews: Reviews) -> None:
        ada, bob = await joined(market), await joined(market, "Bob")
        await market.stop_worker()
        line = await bought(market, ada)
        accepted = await reviews.write_review(ada, PRODUCT, draft(line, 2, title="Leaks"))
        assert accepted.status == "pending"
        own = await reviews.get_review(accepted.id, ada)
        assert (own.rating, own.title, own.author, own.verified, own.status) == (2, "Leaks", "Ada L.", True, "pending")
        assert (await reviews.list_own(ada, PageQuery())).items == [own]
        for other in (bob, None):
            await refused("http.not_found", reviews.get_review(accepted.id, other))
        page = await reviews.list_reviews(PRODUCT, ReviewQuery())
        assert (page.items, page.rating.count) == ([], 0)

    async def test_accepted_commands_are_shown_as_if_they_were_carried_out(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        [gone, kept] = await reviewed(market, reviews, 5, 4, author=ada)
        await market.stop_worker()
        new = (await reviews.write_review(ada, PRODUCT, draft(await bought(market, ada), 3))).id
        await reviews.edit_review(ada, kept, ReviewPatch(rating=1))
        await reviews.edit_review(ada, kept, ReviewPatch(title="Both hold"))
        await reviews.delete_review(ada, gone)
        await refused("http.not_found", reviews.edit_review(ada, gone, ReviewPatch(rating=1)))
        own = await paged(lambda cursor: reviews.list_own(ada, PageQuery(limit=1, cursor=cursor)))
        assert [(one.id, one.rating, one.title) for one in own] == [(new, 3, ""), (kept, 1, "Both hold")]
        shown = await reviews.list_reviews(PRODUCT, ReviewQuery(sort="-rating"))
        assert [one.rating for one in shown.items] == [5, 4], "it is as it was until they are carried out"

    async def test_an_edit_changes_what_it_names(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        [id_] = await reviewed(market, reviews, 5, author=ada)
        before = await reviews.get_review(id_, None)
        await reviews.edit_review(ada, id_, ReviewPatch(rating=1, text="It leaks."))
        await market.settle()
        after = await reviews.get_review(id_, None)
        assert (after.rating, after.title, after.text) == (1, before.title, "It leaks.")
        assert (after.created_at, after.author, after.status) == (before.created_at, before.author, "published")
        assert (await reviews.list_reviews(PRODUCT, ReviewQuery())).rating.histogram == {"1": 1, "2": 0, "3": 0, "4": 0, "5": 0}

    @pytest.mark.behaviour("reviews-1")
    async def test_who_deletes_may_write_anew(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        line = await bought(market, ada)
        first = await reviews.write_review(ada, PRODUCT, draft(line, 1))
        await reviews.delete_review(ada, first.id)
        second = await reviews.write_review(ada, PRODUCT, draft(line, 5))
        await market.settle()
        for reader in (ada, None):
            await refused("http.not_found", reviews.get_review(first.id, reader))
        page = await reviews.list_reviews(PRODUCT, ReviewQuery())
        assert [review.id for review in page.items] == [second.id]
        assert (page.rating.average, page.rating.count) == (5.0, 1)

    async def test_nobody_commands_for_another(self, market: Marketplace, reviews: Reviews) -> None:
        bob = await joined(market, "Bob")
        [id_] = await reviewed(market, reviews, 5)
        await refused("http.not_found", reviews.edit_review(bob, id_, ReviewPatch(rating=1)))
        await refused("http.not_found", reviews.delete_review(bob, id_))
        await refused("http.not_found", reviews.edit_review(bob, "unknown", ReviewPatch(rating=1)))
        await market.settle()
        assert (await reviews.get_review(id_, None)).rating == 5
        assert (await reviews.list_own(bob, PageQuery())).items == []

    @pytest.mark.behaviour("logistics-3")
    async def test_who_has_received_is_invited_once(self, market: Marketplace, reviews: Reviews) -> None:
        ada = await joined(market)
        await market.settle()
        await market.stop_worker()
        await bought(market, ada, delivered=False)
        await bought(market, None)
        assert [one.type for one in await market.outgoing("reviews")] == []
        line = await bought(market, ada)
        [invited] = [one.decode() for one in await market.outgoing("reviews")]
        assert isinstance(invited, ReviewInvited)
        assert (invited.account_id, [(one.item_id, one.product_id) for one in invited.lines]) == (ada, [(line, PRODUCT)])

    async def test_what_nobody_has_reviewed_has_an_empty_page(self, reviews: Reviews) -> None:
        page = await reviews.list_reviews("unknown", ReviewQuery())
        assert (page.items, page.next, page.rating.average, page.rating.count) == ([], None, None, 0)
        with pytest.raises(NotFound):
            await reviews.get_review("unknown", None)
