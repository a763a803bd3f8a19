"""The routes of the reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from marketplace_core.capabilities.analytics import (
    ADMIN_REPORTS,
    ITEMS,
    SELLER_REPORTS,
    AdminReportQuery,
    Analytics,
    Item,
    OverviewItem,
    RegionOrders,
    ReportName,
    ReportQuery,
)
from marketplace_core.http.routing import Request, Router
from marketplace_core.values import Money

__all__ = ["routers"]

T = TypeVar("T", bound=Item)
Access = Literal["shop", "staff"]


class ReportOf(Struct, Generic[T], frozen=True, kw_only=True):
    """``as_of``: when the last event that is counted happened. Intervals without anything are left out."""

    items: list[T]
    as_of: datetime | None


class Overview(Struct, frozen=True, kw_only=True):
    """The whole time in one currency, and beside it the intervals in each."""

    orders: int
    gross: Money
    refunds: Money
    sellers: int
    buyers: int
    paid: Money | None = None
    regions: list[RegionOrders] = []
    items: list[OverviewItem]
    as_of: datetime | None


def routers(analytics: Analytics) -> Sequence[Router]:
    seller, admin = Router("seller", "analytics", scope="reports"), Router("admin", "analytics", scope="reports")
    for name in SELLER_REPORTS:
        _seller(seller, name, analytics)
    for name in ADMIN_REPORTS:
        if name != "overview":
            _admin(admin, name, analytics)

    @admin.get("/reports/overview", access="staff")
    async def overview(query: AdminReportQuery) -> Overview:
        """What was sold, by whom and to how many."""
        found = await analytics.report("overview", query)
        return msgspec.convert({**(found.total or {}), "items": found.items, "as_of": found.as_of}, Overview)

    return seller, admin


def _answer(name: ReportName) -> Any:
    generic: Any = ReportOf
    return generic[ITEMS[name]]


def _seller(router: Router, name: ReportName, analytics: Analytics) -> None:
    answer = _answer(name)

    async def show(request: Request, query: ReportQuery):  # type: ignore[no-untyped-def]
        asked = AdminReportQuery(
            from_=query.from_, to=query.to, interval=query.interval, currency=query.currency, seller_id=request.seller_id
        )
        found = await analytics.report(name, asked)
        return msgspec.convert({"items": found.items, "as_of": found.as_of}, answer)

    _declare(router, name, show, answer, "Of the own shop.", access="shop")


def _admin(router: Router, name: ReportName, analytics: Analytics) -> None:
    answer = _answer(name)

    async def show(query: AdminReportQuery):  # type: ignore[no-untyped-def]
        found = await analytics.report(name, query)
        return msgspec.convert({"items": found.items, "as_of": found.as_of}, answer)

    _declare(router, name, show, answer, "Of the whole marketplace, or of one shop.", access="staff")


def _declare(router: Router, name: ReportName, show: Any, answer: Any, text: str, *, access: Access) -> None:
    show.__annotations__["return"] = answer
    show.__name__, show.__doc__ = name, text
    router.get(f"/reports/{name}", access=access)(show)
