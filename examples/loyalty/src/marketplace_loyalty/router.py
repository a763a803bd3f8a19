"""Routes of loyalty."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.http.routing import Request, Router
from marketplace_loyalty.loyalty import Loyalty, LoyaltyView

__all__ = ["routers"]


def routers(loyalty: Loyalty) -> Sequence[Router]:
    buyer = Router("buyer", "loyalty")

    @buyer.get("/loyalty")
    async def get_loyalty(request: Request) -> LoyaltyView:
        """What one has bought and received, the tier that it earns, and the next one."""
        return await loyalty.get_loyalty(request.account_id)

    return [buyer]
