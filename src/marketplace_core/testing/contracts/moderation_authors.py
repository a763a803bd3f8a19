"""Rules of moderation: what authors hear of what they wrote, and their appeals."""

from __future__ import annotations

from marketplace_core.capabilities.moderation import (
    AppealDraft,
    Author,
    AuthorTold,
    ContentAppealed,
    ContentDecided,
    Moderation,
    QueueQuery,
)
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts import paged, refused
from marketplace_core.testing.contracts.moderation_acts import (
    ADA,
    APPROVE,
    MOD,
    REJECT,
    SHOP,
    held,
    rejected,
    submission,
    told,
    waiting,
)
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import PageQuery

__all__ = ["AppealRules"]

WHY = AppealDraft("It is true.")
OWN = Author(ADA)


class AppealRules:
    async def test_an_author_sees_what_was_decided_of_the_own(self, market: Marketplace, moderation: Moderation) -> None:
        items = []
        for _ in range(3):
            items.append(await rejected(moderation))
            await market.clock.advance(1)
        await held(moderation, author="bob")
        shops = await held(moderation, author="bob", seller=SHOP)
        own = await paged(lambda cursor: moderation.list_own(OWN, PageQuery(limit=2, cursor=cursor)))
        assert [(one.id, one.decision, one.reason_code, one.appealable) for one in own] == [
            (item.id, "reject", "abuse", True) for item in reversed(items)
        ]
        of_shop = (await moderation.list_own(Author("clerk", SHOP), PageQuery())).items
        assert [(one.id, one.status, one.appealable) for one in of_shop] == [(shops.id, "open", False)]
        assert (await moderation.list_own(Author("clerk"), PageQuery())).items == []

    async def test_only_an_author_appeals_and_only_once(self, market: Marketplace, moderation: Moderation) -> None:
        item = await rejected(moderation)
        await refused(NotFound().code, moderation.appeal(Author("bob"), item.id, WHY))
        await refused(NotFound().code, moderation.appeal(Author("bob", SHOP), item.id, WHY))
        own = await moderation.appeal(OWN, item.id, WHY)
        assert (own.status, own.appealable) == ("appealed", False) and own.appeal is not None
        [shown] = await waiting(moderation)
        assert (shown.id, shown.status, shown.appeal) == (item.id, "appealed", own.appeal)
        assert [event.content.id for event in await told(market, ContentAppealed)] == [item.subject_id]
        await refused("moderation.appealed", moderation.appeal(OWN, item.id, WHY))
        await moderation.decide("other", item.id, REJECT)
        await refused("moderation.appealed", moderation.appeal(OWN, item.id, WHY))
        assert not (await moderation.list_own(OWN, PageQuery())).items[0].appealable

    async def test_anybody_of_a_shop_appeals_for_it(self, moderation: Moderation) -> None:
        item = await rejected(moderation, kind="product", seller=SHOP)
        assert (await moderation.appeal(Author("clerk", SHOP), item.id, WHY)).status == "appealed"

    async def test_only_a_rejection_is_appealed(self, moderation: Moderation) -> None:
        item = await held(moderation)
        await refused("moderation.not_appealable", moderation.appeal(OWN, item.id, WHY))
        await moderation.decide(MOD, item.id, APPROVE)
        await refused("moderation.not_appealable", moderation.appeal(OWN, item.id, WHY))
        gone = await rejected(moderation)
        await moderation.judge(submission(gone.subject_id, 2, cause="edited"))
        await refused(NotFound().code, moderation.appeal(OWN, gone.id, WHY))

    async def test_another_person_decides_an_appeal(self, market: Marketplace, moderation: Moderation) -> None:
        item, kept = await rejected(moderation), await rejected(moderation)
        for one in (item, kept):
            await moderation.appeal(OWN, one.id, WHY)
        await refused("moderation.own_decision", moderation.claim(MOD, item.id))
        await refused("moderation.own_decision", moderation.decide(MOD, item.id, APPROVE))
        await moderation.claim("other", item.id)
        assert [one.id for one in await waiting(moderation, QueueQuery(status="appealed"))] == [kept.id]
        decided = await moderation.decide("other", item.id, APPROVE)
        assert (decided.status, decided.decision, decided.reason_code) == ("decided", "approve", None)
        await moderation.decide("other", kept.id, REJECT)
        found = [
            (event.content.id, event.approved, event.appealed, event.overturned) for event in await told(market, ContentDecided)
        ]
        assert found == [
            (item.subject_id, False, False, False),
            (kept.subject_id, False, False, False),
            (item.subject_id, True, True, True),
            (kept.subject_id, False, True, False),
        ]
        assert [(one.approved, one.appealable) for one in await told(market, AuthorTold)] == [
            (False, True),
            (False, True),
            (True, False),
            (False, False),
        ]
