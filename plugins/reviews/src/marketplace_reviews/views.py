"""How records leave the service: to shoppers, authors and sellers."""

from __future__ import annotations

from collections.abc import Callable

from marketplace_core.capabilities import reviews as api
from marketplace_core.capabilities.catalog import Image
from marketplace_core.pictures import PictureRecord
from marketplace_reviews.domain import Review, Tally

__all__ = ["content", "review", "summary"]


def review(record: Review, url: Callable[[str], str], *, reply_waits: bool = False) -> api.Review:
    """``reply_waits``: for the seller, who sees the reply before it is published."""
    reply = record.reply if record.reply and (reply_waits or record.reply.status == "published") else None
    return api.Review(
        id=record.id,
        product_id=record.product_id,
        rating=record.rating,
        title=record.title,
        text=record.text,
        author=record.author,
        images=[image(picture, url) for picture in record.images if picture.status == "ready"],
        verified=True,  # nobody else can write one
        status=record.status,  # type: ignore[arg-type]
        reason_code=record.reason_code,
        helpful=record.helpful,
        reply=None if reply is None else api.Reply(reply.text, reply.created_at),
        created_at=record.created_at,
    )


def image(picture: PictureRecord, url: Callable[[str], str]) -> Image:
    return Image(picture.key, picture.width, picture.height, picture.sizes).at(url)


def content(record: Review) -> api.ReviewContent:
    return api.ReviewContent(
        product_id=record.product_id,
        seller_id=record.seller_id,
        account_id=record.account_id,
        order_item_id=record.order_item_id,
        author=record.author,
        rating=record.rating,
        title=record.title,
        text=record.text,
        created_at=record.created_at,
    )


def summary(tally: Tally) -> api.RatingSummary:
    return api.RatingSummary(tally.average, tally.count, tally.histogram)
