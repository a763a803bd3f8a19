"""The routes of recommendations, whoever provides them: a plugin of the capability returns these from its ``routers`` hook."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.recommendations import Recommendations, RecommendedCard, Shopper, SignalBatch
from marketplace_core.http.routing import Request, Router
from marketplace_core.values import Page, PageQuery

__all__ = ["recommendations_routers"]


def recommendations_routers(recommendations: Recommendations) -> Sequence[Router]:
    return (_buyer(recommendations),)


def _shopper(request: Request) -> Shopper:
    account_id = request.caller.account_id
    return Shopper(account_id, None if account_id else request.headers.get("x-cart-token"))


def _buyer(recommendations: Recommendations) -> Router:
    router = Router("buyer", "recommendations")

    @router.get("/recommendations", access="guest", headers=("X-Cart-Token",))
    async def recommend(request: Request, query: PageQuery) -> Page[RecommendedCard]:
        """What the shopper might want, each with the reason; the feed where nothing is known."""
        return await recommendations.recommend(_shopper(request), query)

    @router.get("/products/{id}/similar", access="guest", headers=("X-Cart-Token",))
    async def list_similar(request: Request, id: str, query: PageQuery) -> Page[RecommendedCard]:
        """What is bought together with a product, or is like it."""
        return await recommendations.list_similar(id, _shopper(request), query)

    @router.post("/events", access="guest", status=202, key="ignored", headers=("X-Cart-Token",))
    async def record(request: Request, body: SignalBatch) -> None:
        """What the shopper is shown and looks at, at most 50 items."""
        await recommendations.record(_shopper(request), body.items)

    return router
