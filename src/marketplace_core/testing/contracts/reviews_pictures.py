"""The part of the suite of reviews that is about pictures."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from marketplace_core.capabilities.reviews import ReviewPatch, ReviewQuery, Reviews
from marketplace_core.pictures import SentPicture
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.reviews_buying import PRODUCT, joined, reviewed
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id

__all__ = ["PictureRules"]


async def _sent(market: Marketplace, *contents: bytes) -> list[SentPicture]:
    sent = [SentPicture(f"{n}.png", f"uploads/reviews/ab/{new_id()}") for n in range(len(contents))]
    await market.process.blobs.put({one.key or "": content for one, content in zip(sent, contents, strict=True)})
    return sent


def _drawn() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (640, 480), "red").save(out, "PNG")
    return out.getvalue()


class PictureRules:
    @pytest.mark.behaviour("reviews-1")
    async def test_pictures_are_their_authors_and_stay_with_the_review(self, market: Marketplace, reviews: Reviews) -> None:
        ada, bob = await joined(market), await joined(market, "Bob")
        [id_] = await reviewed(market, reviews, 5, author=ada)
        sent = await _sent(market, _drawn(), _drawn()[:-40])
        for account, review in ((bob, id_), (ada, "unknown")):
            await refused("http.not_found", reviews.check_own(account, review))
            await refused("http.not_found", reviews.add_images(account, review, sent))
        await reviews.check_own(ada, id_)
        items = (await reviews.add_images(ada, id_, [*sent, SentPicture("no", code="format")])).items
        assert [(item.name, item.status, item.code) for item in items] == [
            ("0.png", "pending", None),
            ("1.png", "pending", None),
            ("no", "rejected", "format"),
        ]
        await market.settle()
        for reader in (ada, None):
            [shown] = (await reviews.get_review(id_, reader)).images
            assert (shown.width, shown.height, shown.url.startswith("/media/reviews/")) == (640, 480, True)
        await reviews.edit_review(ada, id_, ReviewPatch(text="It holds more."))
        assert [image.url for image in (await reviews.get_review(id_, ada)).images] == [shown.url]
        await market.settle()
        [listed] = (await reviews.list_reviews(PRODUCT, ReviewQuery())).items
        assert (listed.text, [image.url for image in listed.images]) == ("It holds more.", [shown.url])
        await reviews.delete_review(ada, id_)
        await refused("http.not_found", reviews.add_images(ada, id_, sent))
