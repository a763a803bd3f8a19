"""Rules of moderation: who decides what, and when."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import asdict, replace

from marketplace_core.capabilities.moderation import (
    AuthorTold,
    ContentDecided,
    DecisionDraft,
    ItemDecision,
    Moderation,
    QueueQuery,
)
from marketplace_core.errors import MarketplaceError, NotFound
from marketplace_core.testing.contracts import paged, refused, together
from marketplace_core.testing.contracts.moderation_acts import APPROVE, MOD, REJECT, held, told, waiting
from marketplace_core.testing.marketplace import Marketplace

__all__ = ["QueueRules"]

#: Longer than anybody has anything.
DAYS = 2 * 24 * 3600


def with_id(id_: str, draft: DecisionDraft) -> ItemDecision:
    return ItemDecision(id=id_, **asdict(draft))


class QueueRules:
    async def test_what_has_waited_longest_comes_first(self, market: Marketplace, moderation: Moderation) -> None:
        items = []
        for kind in ("review", "product", "review"):
            items.append(await held(moderation, kind=kind))
            await market.clock.advance(1)
        found = await paged(lambda cursor: moderation.list_queue(QueueQuery(limit=2, cursor=cursor)))
        assert [item.id for item in found] == [item.id for item in items]
        reviews = await waiting(moderation, QueueQuery(kind="review"))
        assert [item.id for item in reviews] == [items[0].id, items[2].id]
        await moderation.claim(MOD, items[0].id)
        await moderation.decide(MOD, items[1].id, APPROVE)
        shown = {
            status: [item.id for item in await waiting(moderation, QueueQuery(status=status))]
            for status in ("open", "claimed", "decided", "appealed")
        }
        assert shown == {"open": [items[2].id], "claimed": [items[0].id], "decided": [items[1].id], "appealed": []}
        assert [item.id for item in await waiting(moderation)] == [items[0].id, items[2].id]

    async def test_what_is_claimed_is_nobody_elses_for_a_while(self, market: Marketplace, moderation: Moderation) -> None:
        item = await held(moderation)
        mine = await moderation.claim(MOD, item.id)
        assert (mine.status, mine.claimed_by) == ("claimed", MOD) and mine.claimed_until is not None
        assert mine.claimed_until > market.clock.now()
        await refused("moderation.claimed", moderation.claim("other", item.id))
        await refused("moderation.claimed", moderation.give_back("other", item.id))
        await refused("moderation.claimed", moderation.decide("other", item.id, APPROVE))
        await market.clock.advance(1)
        longer = await moderation.claim(MOD, item.id)
        assert longer.claimed_until is not None and longer.claimed_until > mine.claimed_until
        await market.clock.advance(DAYS)
        [free] = await waiting(moderation)
        assert (free.status, free.claimed_by, free.claimed_until) == ("open", None, None)
        assert (await moderation.claim("other", item.id)).claimed_by == "other"

    async def test_what_is_given_back_is_anybodys(self, moderation: Moderation) -> None:
        item = await held(moderation)
        await moderation.claim(MOD, item.id)
        assert (await moderation.give_back(MOD, item.id)).status == "open"
        assert (await moderation.claim("other", item.id)).claimed_by == "other"
        await refused(NotFound().code, moderation.claim(MOD, "unknown"))

    async def test_of_two_who_claim_at_once_one_has_it(self, moderation: Moderation) -> None:
        item = await held(moderation)
        people = [f"m{number}" for number in range(5)]
        answers = await asyncio.gather(*(moderation.claim(who, item.id) for who in people), return_exceptions=True)
        won = [answer.claimed_by for answer in answers if not isinstance(answer, BaseException)]
        assert len(won) == 1 and (await waiting(moderation))[0].claimed_by == won[0]
        assert {answer.code for answer in answers if isinstance(answer, MarketplaceError)} == {"moderation.claimed"}

    async def test_a_decision_is_told_and_stands(self, market: Marketplace, moderation: Moderation) -> None:
        good, bad = await held(moderation), await held(moderation, kind="product", seller="shop")
        await moderation.claim(MOD, good.id)
        approved, rejected = await moderation.decide(MOD, good.id, APPROVE), await moderation.decide(MOD, bad.id, REJECT)
        assert (approved.status, approved.decision, approved.reason_code) == ("decided", "approve", None)
        assert (rejected.status, rejected.decision, rejected.reason_code) == ("decided", "reject", "abuse")
        assert approved.claimed_by is None and await waiting(moderation) == []
        await refused("moderation.decided", moderation.decide("other", bad.id, APPROVE))
        await refused("moderation.decided", moderation.claim("other", good.id))
        events = {event.content.id: event for event in await told(market, ContentDecided)}
        assert len(events) == 2 and {event.by for event in events.values()} == {"moderator"}
        first, second = events[good.subject_id], events[bad.subject_id]
        assert (first.subject, first.approved, first.reason_code) == (f"review/{good.subject_id}", True, None)
        assert (second.approved, second.reason_code) == (False, "abuse")
        [notice] = [one for one in await told(market, AuthorTold) if not one.approved]
        assert (notice.item_id, notice.author_id, notice.seller_id) == (bad.id, "ada", "shop")
        assert (notice.reason_code, notice.appealable) == ("abuse", True)

    async def test_of_two_who_decide_at_once_one_does(self, market: Marketplace, moderation: Moderation) -> None:
        item = await held(moderation)
        drafts = [APPROVE, REJECT] * 3
        acts = (moderation.decide(f"m{number}", item.id, draft) for number, draft in enumerate(drafts))
        answers = await asyncio.gather(*acts, return_exceptions=True)
        won = [answer for answer in answers if not isinstance(answer, BaseException)]
        [event] = await told(market, ContentDecided)
        assert len(won) == 1 and event.approved == (won[0].decision == "approve")

    async def test_a_rejection_says_why(self, moderation: Moderation) -> None:
        item = await held(moderation)
        mute = replace(REJECT, reason_code=None)
        error = await refused("validation", moderation.decide(MOD, item.id, mute))
        assert [problem.pointer for problem in error.errors] == ["/reason_code"]
        [result] = await moderation.decide_many(MOD, [with_id(item.id, mute)])
        assert (result.status, result.code) == (422, "validation")
        assert (await waiting(moderation))[0].decision is None

    async def test_many_are_decided_each_by_itself(self, market: Marketplace, moderation: Moderation) -> None:
        items = [await held(moderation) for _ in range(4)]
        await moderation.claim("other", items[1].id)
        await moderation.decide(MOD, items[2].id, APPROVE)
        asked = [items[0].id, items[1].id, items[2].id, "unknown", items[3].id, items[3].id]
        results = await moderation.decide_many(MOD, [with_id(id_, REJECT) for id_ in asked])
        found: list[Any] = [(result.id, result.status, result.code) for result in results]
        assert found == [
            (items[0].id, 200, None),
            (items[1].id, 409, "moderation.claimed"),
            (items[2].id, 409, "moderation.decided"),
            ("unknown", 404, NotFound().code),
            (items[3].id, 200, None),
            (items[3].id, 409, "moderation.decided"),
        ]
        decided = {item.id: item.decision for item in await waiting(moderation, QueueQuery(status="decided"))}
        assert decided == {items[0].id: "reject", items[2].id: "approve", items[3].id: "reject"}
        assert len(await told(market, ContentDecided)) == 3

    async def test_many_who_decide_many_at_once_wait_for_nobody_for_ever(self, moderation: Moderation) -> None:
        items = [await held(moderation) for _ in range(4)]
        forth = [with_id(item.id, APPROVE) for item in items]
        answers = await together(
            moderation.decide_many("m1", forth), moderation.decide_many("m2", forth[::-1]), moderation.decide_many("m3", forth)
        )
        assert sorted(result.status for results in answers for result in results) == [200] * 4 + [409] * 8
