"""What reviews do in workers: one keeps what people say, another what it comes to."""

from __future__ import annotations

from marketplace_reviews.service import ReviewService

__all__ = ["SUBSCRIPTIONS"]

REVIEW = (ReviewService.on_order, ReviewService.on_review_commanded, ReviewService.on_content_decided)
RATING = (ReviewService.on_review_changed,)

SUBSCRIPTIONS = (*REVIEW, *RATING)
