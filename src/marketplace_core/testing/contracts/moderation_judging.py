"""Rules of moderation: what becomes of content once it is submitted."""

from __future__ import annotations

from marketplace_core.capabilities.moderation import (
    Content,
    ContentDecided,
    ContentHeld,
    Moderation,
    QueueQuery,
)
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts import refused, together
from marketplace_core.testing.contracts.moderation_acts import (
    APPROVE,
    MOD,
    held,
    queued,
    rejected,
    submission,
    told,
    waiting,
)
from marketplace_core.testing.marketplace import Marketplace

__all__ = ["JudgingRules"]


class JudgingRules:
    async def test_what_nobody_objects_to_is_approved_at_once(self, market: Marketplace, moderation: Moderation) -> None:
        given = submission(kind="product")
        judged = await moderation.judge(given)
        assert (judged.content, judged.verdict, judged.reason_code) == (given.content, "approved", None)
        assert await waiting(moderation) == []
        [decided] = await told(market, ContentDecided)
        assert (decided.subject, decided.content, decided.approved) == (given.content.key, given.content, True)
        assert (decided.by, decided.reason_code, decided.overturned) == ("checks", None, False)

    async def test_the_queue_is_judged_likewise_and_once(self, market: Marketplace, moderation: Moderation) -> None:
        clean, reported = submission(kind="acme.question"), submission(cause="reported", note="Rude.")
        await market.deliver(Moderation, queued(clean))
        await market.deliver(Moderation, queued(reported))
        assert [event.content for event in await told(market, ContentDecided)] == [clean.content]
        [item] = await waiting(moderation)
        assert Content(item.kind, item.subject_id, item.version) == reported.content
        assert (item.cause, item.note, item.snapshot, item.status) == ("reported", "Rude.", reported.snapshot, "open")
        assert (item.decision, item.claimed_by, item.appeal) == (None, None, None)
        assert [(event.content, event.item_id) for event in await told(market, ContentHeld)] == [(reported.content, item.id)]

    async def test_a_version_is_judged_once(self, market: Marketplace, moderation: Moderation) -> None:
        given = submission()
        answers = await together(*(moderation.judge(given) for _ in range(4)))
        assert {answer.verdict for answer in answers} == {"approved"}
        assert len(await told(market, ContentDecided)) == 1
        item = await held(moderation)
        known = submission(item.subject_id)
        assert (await moderation.judge(known)).verdict == "in_review"
        assert [one.id for one in await waiting(moderation)] == [item.id]
        await moderation.decide(MOD, item.id, APPROVE)
        assert (await moderation.judge(known)).verdict == "approved"

    async def test_a_later_version_takes_the_place_of_an_earlier_one(self, market: Marketplace, moderation: Moderation) -> None:
        item = await held(moderation)
        later = submission(item.subject_id, 3, cause="edited")
        assert (await moderation.judge(later)).verdict == "approved"
        assert await waiting(moderation) == []
        await refused(NotFound().code, moderation.decide(MOD, item.id, APPROVE))
        assert (await moderation.judge(submission(item.subject_id, 2, cause="reported"))).verdict == "superseded"
        assert await waiting(moderation) == []
        assert [event.content.version for event in await told(market, ContentDecided)] == [3]

    async def test_a_report_brings_back_what_was_approved(self, market: Marketplace, moderation: Moderation) -> None:
        given = submission()
        await moderation.judge(given)
        for note in ("Rude.", "Very rude."):
            reported = submission(given.content.id, cause="reported", note=note)
            assert (await moderation.judge(reported)).verdict == "in_review"
        [item] = await waiting(moderation)
        assert (item.subject_id, item.cause, item.decision) == (given.content.id, "reported", "approve")
        assert "Rude." in item.note and "Very rude." in item.note
        assert len(await told(market, ContentHeld)) == 1

    async def test_a_report_changes_nothing_of_what_is_rejected(self, moderation: Moderation) -> None:
        item = await rejected(moderation)
        judged = await moderation.judge(submission(item.subject_id, cause="reported", note="Still there?"))
        assert (judged.verdict, judged.reason_code) == ("rejected", "abuse")
        assert await waiting(moderation) == []

    async def test_the_audit_follows_from_its_first_entry(self, moderation: Moderation) -> None:
        assert (await moderation.verify_audit(0, "", 100)).entries == 0
        await rejected(moderation)
        whole = await moderation.verify_audit(0, "", 100)
        assert whole.entries >= 2 and whole.head and whole.broken_at is None
        await together(*(moderation.judge(submission()) for _ in range(5)))
        first = await moderation.verify_audit(0, "", whole.entries)
        assert (first.entries, first.head, first.broken_at) == (whole.entries, whole.head, None)
        rest = await moderation.verify_audit(first.entries, first.head, 100)
        assert rest.entries >= whole.entries + 5 and rest.broken_at is None
        other = await moderation.verify_audit(first.entries, "0" * len(first.head), 100)
        assert other.broken_at == first.entries + 1

    async def test_nothing_tells_moderators_who_wrote_it(self, moderation: Moderation) -> None:
        item = await held(moderation, author="the-author", seller="the-shop")
        answers = (item, await moderation.claim(MOD, item.id), await moderation.decide(MOD, item.id, APPROVE))
        shown = [*answers, *await waiting(moderation, QueueQuery(status="decided"))]
        assert len(shown) == 4
        assert not any(name in repr(one) for one in shown for name in ("the-author", "the-shop"))
