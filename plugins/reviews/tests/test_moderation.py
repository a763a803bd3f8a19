"""With somebody who judges: what waits, what is shown first, and what moderation is told of."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from marketplace_core.capabilities.moderation import Content, ContentDecided, ContentSubmitted
from marketplace_core.capabilities.reviews import ReplyDraft, ReportDraft, ReviewPatch, ReviewQuery, Reviews
from marketplace_core.errors import NotFound
from marketplace_core.events import decode_envelope
from marketplace_core.pictures import SentPicture
from marketplace_core.testing.contracts.reviews_buying import PRODUCT, SELLER, joined, reviewed
from marketplace_core.testing.marketplace import Marketplace


def judged(market: Marketplace, show: str) -> Reviews:
    """As if the deployment had moderation, whose provider makes the only difference by being there."""
    service: Any = market.process.service("reviews")
    service.__init__(
        service.units,
        service.units_of("ratings"),
        service._store,
        service._ratings,
        service._users,
        service._cache,
        service._pictures,
        type(service._config)(show=show),
        moderated=True,
    )
    return market.port(Reviews)


async def submitted(market: Marketplace) -> list[ContentSubmitted]:
    """What moderation was told of, in order."""
    rows = await market.process.resources.database("main").fetch(
        "SELECT payload FROM marketplace.outbox WHERE topic = 'moderation' ORDER BY id"
    )
    events = [decode_envelope(row["payload"], 1).decode() for row in rows]
    return [event for event in events if isinstance(event, ContentSubmitted)]


def decision(content: Content, *, approved: bool) -> ContentDecided:
    return ContentDecided(subject=content.key, content=content, approved=approved, reason_code=None if approved else "abuse")


async def test_a_review_waits_until_it_is_approved_and_again_after_an_edit(market: Marketplace) -> None:
    reviews, ada = judged(market, "approved"), await joined(market)
    [id_] = await reviewed(market, reviews, 5, author=ada)
    assert (await reviews.get_review(id_, ada)).status == "pending"
    page = await reviews.list_reviews(PRODUCT, ReviewQuery())
    assert (page.items, page.rating.count) == ([], 0)
    [told] = await submitted(market)
    assert (told.subject, told.content, told.cause, told.author_id) == (f"review/{id_}", Content("review", id_, 1), "new", ada)
    assert told.snapshot == {"title": "5 stars", "text": "It holds tea."}
    await market.deliver(Reviews, decision(told.content, approved=True))
    await market.settle()
    assert (await reviews.list_reviews(PRODUCT, ReviewQuery())).rating.count == 1
    await reviews.edit_review(ada, id_, ReviewPatch(text="It leaks."))
    await market.settle()
    assert (await reviews.list_reviews(PRODUCT, ReviewQuery())).rating.count == 0
    [_, again] = await submitted(market)
    assert (again.content.version, again.cause, again.snapshot["text"]) == (2, "edited", "It leaks.")


async def test_a_review_is_shown_first_where_the_deployment_says_so(market: Marketplace) -> None:
    reviews = judged(market, "first")
    [id_] = await reviewed(market, reviews, 5)
    assert (await reviews.get_review(id_, None)).status == "published"
    [told] = await submitted(market)
    await market.deliver(Reviews, decision(told.content, approved=False))
    await market.settle()
    with pytest.raises(NotFound):
        await reviews.get_review(id_, None)
    assert (await reviews.list_reviews(PRODUCT, ReviewQuery())).rating.count == 0


async def test_a_reply_waits_likewise_and_its_seller_sees_it(market: Marketplace) -> None:
    reviews = judged(market, "approved")
    [id_] = await reviewed(market, reviews, 1)
    await market.deliver(Reviews, decision(Content("review", id_, 1), approved=True))
    answered = await reviews.reply(SELLER, id_, ReplyDraft("We are sorry."))
    assert answered.reply is not None and (await reviews.get_review(id_, None)).reply is None
    told = (await submitted(market))[-1]
    assert (told.content.kind, told.snapshot) == ("reply", {"text": "We are sorry."})
    await market.deliver(Reviews, decision(told.content, approved=True))
    assert (await reviews.get_review(id_, None)).reply == answered.reply


@pytest.mark.behaviour("reviews-1")
async def test_a_report_brings_it_to_moderation(market: Marketplace) -> None:
    reviews, bob = judged(market, "first"), await joined(market, "Bob")
    [id_] = await reviewed(market, reviews, 1)
    await reviews.report(bob, id_, ReportDraft("It is abuse."))
    told = (await submitted(market))[-1]
    assert (told.content, told.cause, told.note) == (Content("review", id_, 1), "reported", "It is abuse.")


async def test_a_picture_waits_likewise_and_is_judged_by_itself(market: Marketplace) -> None:
    reviews, ada = judged(market, "approved"), await joined(market)
    [id_] = await reviewed(market, reviews, 5, author=ada)
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    await market.process.blobs.put({"uploads/reviews/ab/1": out.getvalue()})
    sent = SentPicture("a.png", "uploads/reviews/ab/1")
    await reviews.add_images(ada, id_, [sent, sent])
    await market.settle()
    assert (await reviews.get_review(id_, ada)).images == []
    told = [event for event in await submitted(market) if event.content.kind == "image"]
    assert [(event.author_id, event.snapshot) for event in told] == [(ada, {"title": "5 stars"})] * 2
    assert await market.process.blobs.get(told[0].images[0]) is not None
    await market.deliver(Reviews, decision(told[0].content, approved=True))
    await market.deliver(Reviews, decision(told[1].content, approved=False))
    [shown] = (await reviews.get_review(id_, ada)).images
    assert shown.url == f"/media/{told[0].images[0]}"
    await market.deliver(Reviews, decision(told[0].content, approved=False))
    assert (await reviews.get_review(id_, ada)).images == []
