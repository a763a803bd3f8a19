"""The routes of moderation."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.moderation import (
    AppealDraft,
    Author,
    DecisionDraft,
    DecisionResults,
    DecisionsDraft,
    Item,
    Moderation,
    OwnItem,
    QueueQuery,
)
from marketplace_core.http.routing import Request, Router
from marketplace_core.values import Page, PageQuery

__all__ = ["routers"]


def routers(moderation: Moderation) -> Sequence[Router]:
    return buyer(moderation), seller(moderation), admin(moderation)


def buyer(moderation: Moderation) -> Router:
    router = Router("buyer", "moderation")

    @router.get("/moderation")
    async def list_own(request: Request, query: PageQuery) -> Page[OwnItem]:
        """What was decided of what one wrote, and what waits."""
        return await moderation.list_own(Author(request.account_id), query)

    @router.post("/moderation/{id}/appeal", status=200)
    async def appeal(request: Request, id: str, body: AppealDraft) -> OwnItem:
        """Have a rejection decided again, by another person, once."""
        return await moderation.appeal(Author(request.account_id), id, body)

    return router


def seller(moderation: Moderation) -> Router:
    router = Router("seller", "moderation")

    @router.get("/moderation", access="shop")
    async def list_own(request: Request, query: PageQuery) -> Page[OwnItem]:
        """What was decided of what the shop wrote, and what waits."""
        return await moderation.list_own(Author(request.account_id, request.seller_id), query)

    @router.post("/moderation/{id}/appeal", access="shop", status=200)
    async def appeal(request: Request, id: str, body: AppealDraft) -> OwnItem:
        """Have a rejection decided again, by another person, once."""
        return await moderation.appeal(Author(request.account_id, request.seller_id), id, body)

    return router


def admin(moderation: Moderation) -> Router:
    router = Router("admin", "moderation", roles=("admin", "moderator"))

    @router.get("/moderation/queue", access="staff")
    async def list_queue(query: QueueQuery) -> Page[Item]:
        """What waits for a person, the oldest first; or what was decided."""
        return await moderation.list_queue(query)

    @router.post("/moderation/decide", access="staff", status=200)
    async def decide_many(request: Request, body: DecisionsDraft) -> DecisionResults:
        """Decide many at once, each by itself."""
        return DecisionResults(await moderation.decide_many(request.account_id, body.items))

    @router.post("/moderation/{id}/claim", access="staff", status=200)
    async def claim(request: Request, id: str) -> Item:
        """Have an item for oneself for a while, or for longer."""
        return await moderation.claim(request.account_id, id)

    @router.delete("/moderation/{id}/claim", access="staff", status=200)
    async def give_back(request: Request, id: str) -> Item:
        """Have it no more."""
        return await moderation.give_back(request.account_id, id)

    @router.post("/moderation/{id}/decide", access="staff", status=200)
    async def decide(request: Request, id: str, body: DecisionDraft) -> Item:
        """Approve or reject."""
        return await moderation.decide(request.account_id, id, body)

    return router
