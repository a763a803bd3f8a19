"""What is compared with what is there: texts, pictures, prices; other plugins; and that the audit is only added to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from marketplace_core.capabilities.moderation import Content, Finding, Moderation, QueueQuery, Submission
from marketplace_core.extensions import Extensions
from marketplace_core.testing.contracts.moderation_acts import queued, rejected, submission
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, new_id
from plugins.moderation.tests.test_checks import drawn

TEXT = "A copper kettle for the whole family that holds two litres of tea and whistles when the water boils at last."


def listing(seller: str, text: str = TEXT, **more: Any) -> Submission:
    return Submission(
        content=Content("product", new_id(), 1),
        cause="new",
        author_id=f"of-{seller}",
        seller_id=seller,
        snapshot={"title": "Kettle", "description": text},
        **more,
    )


async def verdicts(market: Marketplace, *listings: Submission) -> list[str]:
    return [(await market.port(Moderation).judge(one)).verdict for one in listings]


async def waits_for(market: Marketplace) -> list[tuple[str, str]]:
    items = (await market.port(Moderation).list_queue(QueueQuery())).items
    return [(score.check, score.detail) for item in items for score in item.scores]


async def test_another_shops_text_waits_and_ones_own_does_not(market: Marketplace) -> None:
    first, own, copied = listing("kettle"), listing("kettle"), listing("lamp", TEXT.upper())
    assert await verdicts(market, first, own, copied) == ["approved", "approved", "in_review"]
    [(check, detail)] = await waits_for(market)
    assert check == "texts" and detail.startswith("100% of product/")
    assert await verdicts(market, listing("third", "A short one."), listing("fourth", "A short one.")) == ["approved"] * 2


async def test_another_shops_picture_waits_and_a_bomb_is_rejected(market: Marketplace) -> None:
    blobs: Any = market.process.service("moderation")
    await blobs._blobs.put({"a/one.png": drawn(), "a/two.jpg": drawn("jpeg", (600, 400)), "a/bad.png": b"none"})
    shown, copied = (listing(shop, "", images=(f"a/{name}",)) for shop, name in (("kettle", "one.png"), ("lamp", "two.jpg")))
    assert await verdicts(market, shown, copied, listing("third", "", images=("a/bad.png",))) == [
        "approved",
        "in_review",
        "rejected",
    ]
    assert await waits_for(market) == [("pictures", f"as a/one.png of product/{shown.content.id}")]


async def test_a_price_is_compared_with_its_category(market: Marketplace) -> None:
    def priced(amount: int, category: str = "c") -> Submission:
        return listing("kettle", "", price=Money(amount, "EUR"), category_id=category)

    assert set(await verdicts(market, *(priced(1900 + 10 * n) for n in range(20)))) == {"approved"}
    assert await verdicts(market, priced(2500), priced(3), priced(3, "other")) == ["approved", "in_review", "approved"]
    assert [check for check, _ in await waits_for(market)] == ["prices"]


async def test_other_plugins_find_things_and_one_that_fails_lets_nothing_pass(market: Marketplace) -> None:
    async def finds(submissions: Sequence[Submission]) -> list[Finding]:
        if submissions[0].author_id == "fails":
            raise RuntimeError("no idea")
        return [Finding(one.content.key, "acme", 1.0, "rude", "rude") for one in submissions if one.author_id == "rude"]

    service: Any = market.process.service("moderation")
    service._checks._extensions = Extensions({"moderation_checks": [("acme", finds)]}, 1.0)
    given = [submission(author=author) for author in ("polite", "rude", "fails")]
    assert await verdicts(market, *given) == ["approved", "rejected", "in_review"]
    assert await waits_for(market) == [("acme", "the check failed")]


@pytest.mark.behaviour("moderation-1")
async def test_the_audit_is_only_added_to_and_tells_what_was_changed(market: Marketplace) -> None:
    moderation = market.port(Moderation)
    for _ in range(3):
        await rejected(moderation)
    await market.deliver(Moderation, queued(submission()))
    database = market.process.resources.database("main")
    for act in (
        "UPDATE moderation.audit SET entry = '{}' WHERE number = 2",
        "DELETE FROM moderation.audit",
        "TRUNCATE moderation.audit",
        "UPDATE moderation.audit_head SET number = 1",
        "DELETE FROM moderation.audit_head",
    ):
        with pytest.raises(Exception, match="only added to"):
            await database.execute(act)
    whole = await moderation.verify_audit(0, "", 100)
    assert (whole.entries, whole.broken_at) == (7, None)
    await database.execute("ALTER TABLE moderation.audit DISABLE TRIGGER USER")
    await database.execute("UPDATE moderation.audit SET entry = replace(entry, 'reject', 'approve') WHERE number = 4")
    assert (await moderation.verify_audit(0, "", 100)).broken_at == 4
    await database.execute("DELETE FROM moderation.audit WHERE number >= 4")
    assert (await moderation.verify_audit(0, "", 100)).broken_at == 4, "what the end was noted as is not there"
