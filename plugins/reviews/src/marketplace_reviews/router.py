"""The routes of reviews."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.reviews import (
    AcceptedReview,
    ReplyDraft,
    ReportDraft,
    Review,
    ReviewDraft,
    ReviewPage,
    ReviewPatch,
    ReviewQuery,
    Reviews,
    SellerReviewQuery,
)
from marketplace_core.http.routing import Answer, Request, Router, Upload
from marketplace_core.pictures import PictureItems, Pictures
from marketplace_core.values import Page, PageQuery

__all__ = ["routers"]

#: What was forgotten by a process that died at once is forgotten after so long.
LISTED_SECONDS = 60.0


def routers(reviews: Reviews, pictures: Pictures) -> Sequence[Router]:
    return buyer(reviews, pictures), seller(reviews)


def buyer(reviews: Reviews, pictures: Pictures) -> Router:
    router = Router("buyer", "reviews")

    @router.get("/products/{id}/reviews", access="anyone", cached="reviews:{id}", cached_seconds=LISTED_SECONDS)
    async def list_reviews(id: str, query: ReviewQuery) -> ReviewPage:
        """What buyers say of a product, and what it comes to."""
        return await reviews.list_reviews(id, query)

    @router.post("/products/{id}/reviews", status=202)
    async def write_review(request: Request, id: str, body: ReviewDraft) -> Answer[AcceptedReview]:
        """Review what has arrived, once for each line of an order."""
        return _accepted(await reviews.write_review(request.account_id, id, body))

    @router.get("/me/reviews")
    async def list_own(request: Request, query: PageQuery) -> Page[Review]:
        """The own reviews, in any state."""
        return await reviews.list_own(request.account_id, query)

    @router.get("/reviews/{id}", access="guest")
    async def get_review(request: Request, id: str) -> Review:
        """A published review, or an own one in any state."""
        return await reviews.get_review(id, request.caller.account_id)

    @router.patch("/reviews/{id}", status=202)
    async def edit_review(request: Request, id: str, body: ReviewPatch) -> Answer[AcceptedReview]:
        """Change an own review. It is judged anew."""
        return _accepted(await reviews.edit_review(request.account_id, id, body))

    @router.delete("/reviews/{id}", status=202)
    async def delete_review(request: Request, id: str) -> Answer[AcceptedReview]:
        """Take an own review back."""
        return _accepted(await reviews.delete_review(request.account_id, id))

    @router.post("/reviews/{id}/images", status=202)
    async def add_images(request: Request, id: str, files: list[Upload]) -> PictureItems:
        """Pictures of an own review: each is looked at, drawn in several sizes and shown, or rejected alone."""
        await reviews.check_own(request.account_id, id)  # before they are kept: what is another's takes no room
        return await reviews.add_images(request.account_id, id, await pictures.keep(files))

    @router.post("/reviews/{id}/votes", status=204)
    async def vote(request: Request, id: str) -> None:
        """Find a review helpful."""
        await reviews.vote(request.account_id, id, True)

    @router.delete("/reviews/{id}/votes")
    async def take_vote_back(request: Request, id: str) -> None:
        """Do not find it helpful any more."""
        await reviews.vote(request.account_id, id, False)

    @router.post("/reviews/{id}/reports", status=204)
    async def report(request: Request, id: str, body: ReportDraft) -> None:
        """Say why a review should not be shown."""
        await reviews.report(request.account_id, id, body)

    return router


def seller(reviews: Reviews) -> Router:
    router = Router("seller", "reviews", scope="reviews")

    @router.get("/reviews", access="shop")
    async def list_reviews(request: Request, query: SellerReviewQuery) -> Page[Review]:
        """What buyers say of the shop's products."""
        return await reviews.list_seller_reviews(request.seller_id, query)

    @router.post("/reviews/{id}/reply", access="shop")
    async def reply(request: Request, id: str, body: ReplyDraft) -> Answer[Review]:
        """Reply to a review, once."""
        return Answer(await reviews.reply(request.seller_id, id, body), location="/reviews")

    return router


def _accepted(accepted: AcceptedReview) -> Answer[AcceptedReview]:
    return Answer(accepted, location=f"/reviews/{accepted.id}")
