"""A review of another system, as if it had been written here."""

from __future__ import annotations

from marketplace_core.capabilities.reviews import ImportReview
from marketplace_core.values import Imported
from marketplace_reviews.domain import Line, Review

__all__ = ["TAKEN", "line", "review"]

TAKEN = Imported("rejected", "duplicate", "The line has another review, or is another account's.")


def line(given: ImportReview) -> Line:
    """What one knows of the line by its review, where its order has not been heard of yet."""
    return Line(
        item_id=given.order_item_id,
        order_id=given.order_id,
        account_id=given.account_id,
        product_id=given.product_id,
        seller_id=given.seller_id,
        delivered_at=given.delivered_at,
    )


def review(given: ImportReview) -> Review:
    """Published: it was shown there."""
    return Review(
        id=given.id,
        product_id=given.product_id,
        seller_id=given.seller_id,
        account_id=given.account_id,
        order_item_id=given.order_item_id,
        author=given.author,
        rating=given.rating,
        title=given.title,
        text=given.text,
        created_at=given.created_at,
        status="published",
    )
