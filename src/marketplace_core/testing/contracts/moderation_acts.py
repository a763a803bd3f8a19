"""Content that is to be judged, in the suite of moderation, and what a provider has told of it."""

from __future__ import annotations

from typing import TypeVar

from marketplace_core.capabilities.moderation import (
    Cause,
    Content,
    ContentSubmitted,
    DecisionDraft,
    Item,
    Moderation,
    QueueQuery,
    Submission,
)
from marketplace_core.events import Event
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id

__all__ = ["ADA", "APPROVE", "MOD", "REJECT", "SHOP", "held", "queued", "rejected", "submission", "told", "waiting"]

E = TypeVar("E", bound=Event)

ADA, MOD, SHOP = "ada", "mod", "shop"
APPROVE = DecisionDraft(decision="approve")
REJECT = DecisionDraft(decision="reject", reason_code="abuse", note="Read it.")


def submission(
    id_: str | None = None,
    version: int = 1,
    *,
    kind: str = "review",
    cause: Cause = "new",
    author: str | None = ADA,
    seller: str | None = None,
    note: str = "",
) -> Submission:
    """Content that nobody has anything against, unless somebody reports it."""
    return Submission(
        content=Content(kind, id_ or new_id(), version),
        cause=cause,
        author_id=author,
        seller_id=seller,
        snapshot={"title": "Fine", "text": "It holds tea."},
        note=note,
    )


def queued(of: Submission) -> ContentSubmitted:
    """The same by the moderation queue."""
    return ContentSubmitted(
        subject=of.content.key,
        content=of.content,
        cause=of.cause,
        author_id=of.author_id,
        seller_id=of.seller_id,
        snapshot=of.snapshot,
        note=of.note,
    )


async def waiting(moderation: Moderation, query: QueueQuery | None = None) -> list[Item]:
    return (await moderation.list_queue(query or QueueQuery())).items


async def held(
    moderation: Moderation, *, kind: str = "review", author: str | None = ADA, seller: str | None = None, id_: str | None = None
) -> Item:
    """What waits for a person, because it was reported."""
    given = submission(id_, kind=kind, cause="reported", author=author, seller=seller, note="Look at it.")
    assert (await moderation.judge(given)).verdict == "in_review"
    [item] = [item for item in await waiting(moderation) if item.subject_id == given.content.id]
    return item


async def rejected(moderation: Moderation, **more: str | None) -> Item:
    """What ``MOD`` has rejected."""
    item = await held(moderation, **more)  # type: ignore[arg-type]
    return await moderation.decide(MOD, item.id, REJECT)


async def told(market: Marketplace, kind: type[E]) -> list[E]:
    """The events of a type, in order."""
    return [event for one in await market.outgoing("moderation") if isinstance(event := one.decode(), kind)]
