"""Items as moderators and authors see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from marketplace_core.capabilities.moderation import Appeal, Content, Item, Judgement, OwnItem, Score
from marketplace_moderation import domain

__all__ = ["content", "item", "judgement", "own", "scores"]


def content(found: domain.Item) -> Content:
    return Content(found.kind, found.subject_id, found.version)


def scores(found: Sequence[domain.Found]) -> list[Score]:
    return [Score(one.check, one.score, one.detail) for one in found]


def item(found: domain.Item, url: Callable[[str], str], now: datetime) -> Item:
    """For moderators: nothing of its author is in it."""
    claimed = found.is_claimed(now)
    status: Any = domain.status_of(found, now)
    cause: Any = found.cause
    decision: Any = found.decision
    return Item(
        id=found.id,
        kind=found.kind,
        subject_id=found.subject_id,
        version=found.version,
        cause=cause,
        snapshot=found.snapshot,
        images=[url(key) for key in found.images],
        note=found.note,
        scores=scores(found.scores),
        status=status,
        claimed_by=found.claimed_by if claimed else None,
        claimed_until=found.claimed_until if claimed else None,
        decision=decision,
        reason_code=found.reason_code,
        appeal=_appeal(found),
        created_at=found.created_at,
    )


def own(found: domain.Item) -> OwnItem:
    """For its author, to whom it makes no difference whether somebody looks at it just now."""
    status: Any = found.state
    decision: Any = found.decision
    return OwnItem(
        id=found.id,
        kind=found.kind,
        subject_id=found.subject_id,
        status=status,
        decision=decision,
        reason_code=found.reason_code,
        appeal=_appeal(found),
        appealable=domain.can_appeal(found),
        created_at=found.created_at,
    )


def judgement(found: domain.Item) -> Judgement:
    if found.state != "decided":
        return Judgement(content(found), "in_review")
    return Judgement(content(found), "approved" if found.decision == "approve" else "rejected", found.reason_code)


def _appeal(found: domain.Item) -> Appeal | None:
    return None if found.appeal is None else Appeal(found.appeal.text, found.appeal.created_at)
