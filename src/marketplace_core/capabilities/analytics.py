"""analytics: what has happened in the marketplace, as figures by interval. It is made of the events that the others tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, patient, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import Currency, Money

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

ReportName = Literal[
    "sales", "funnel", "returns", "cohorts", "lateness", "search", "ratings", "moderation", "performance", "overview"
]
Interval = Literal["day", "week", "month"]


class ReportQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """``from`` and ``to`` are days in UTC, both included; of the last 30 days, if not said. ``currency``: of this one only."""

    from_: date | None = None
    to: date | None = None
    interval: Interval = "day"
    currency: Currency | None = None


class AdminReportQuery(ReportQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``seller_id``: of this shop only."""

    seller_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Item(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """``from`` is the first moment of the interval."""

    from_: datetime


class MoneyItem(Item, frozen=True, kw_only=True):
    currency: str


class SalesItem(MoneyItem, frozen=True, kw_only=True):
    """Orders that were confirmed. ``gross``: goods, shipping and tax before ``discounts``; ``refunds``: of what was cancelled
    or came back; ``commission``: of what was shipped; ``net``: what is left of the gross after all three."""

    orders: int
    units: int
    gross: Money
    discounts: Money
    refunds: Money
    commission: Money
    net: Money


class FunnelItem(Item, frozen=True, kw_only=True):
    """``viewers``: people who looked at a product; ``carts`` into which something was put; ``orders`` that were placed."""

    viewers: int
    carts: int
    orders: int
    view_to_cart: float | None
    cart_to_order: float | None


class ReturnReason(Struct, frozen=True, kw_only=True):
    reason: str
    returned: int
    refunded: Money


class ReturnsItem(MoneyItem, frozen=True, kw_only=True):
    """``units`` that were shipped and ``returned`` in the interval; ``rate`` is between the two."""

    units: int
    returned: int
    rate: float | None
    refunded: Money
    reasons: list[ReturnReason]


class CohortItem(Item, frozen=True, kw_only=True):
    """Accounts whose first order was in ``first_month`` (``2026-01``); ``active[n]`` of them ordered n months later."""

    first_month: str
    people: int
    active: list[int]


class LatenessItem(Item, frozen=True, kw_only=True):
    """Parcels ``shipped``; ``late``: came after the day that was promised, or have not come and it is past. ``promise_kept``:
    of those that came. ``median_days`` on the way."""

    shipped: int
    late: int
    rate: float | None
    promise_kept: float | None
    median_days: float | None


class SearchedQuery(Struct, frozen=True, kw_only=True):
    query: str
    searches: int
    results: int


class SearchItem(Item, frozen=True, kw_only=True):
    """``click_through``: clicks for each search. ``top``: ten that were searched by most."""

    searches: int
    without_result: int
    click_through: float | None
    top: list[SearchedQuery]


class RatingsItem(Item, frozen=True, kw_only=True):
    """Reviews that were first shown in the interval, as they are now."""

    reviews: int
    average: float | None
    histogram: dict[str, int]


class ModerationItem(Item, frozen=True, kw_only=True):
    """``by_checks``: decisions that no person made. ``oldest_seconds``: how long what waited longest had waited at its end."""

    submitted: int
    approved: int
    rejected: int
    by_checks: int
    overturned: int
    oldest_seconds: int | None


class PerformanceItem(Item, frozen=True, kw_only=True):
    """Rates of parcels that were late, of units that were cancelled and returned; the mean of new reviews."""

    late_rate: float | None
    cancel_rate: float | None
    return_rate: float | None
    rating: float | None


class RegionOrders(Struct, frozen=True, kw_only=True):
    """Where orders go; ``region`` is empty where the address has none."""

    country: str
    region: str
    orders: int
    gross: Money


class OverviewItem(MoneyItem, frozen=True, kw_only=True):
    """``sellers`` who sold and ``buyers`` with an account who bought. ``paid``: what was captured in the interval, None of one
    shop, since a payment is of a whole order. ``regions``: where the orders go, by country and region."""

    orders: int
    gross: Money
    refunds: Money
    sellers: int
    buyers: int
    paid: Money | None = None
    regions: list[RegionOrders] = []


ITEMS: Mapping[str, type[Item]] = {
    "sales": SalesItem,
    "funnel": FunnelItem,
    "returns": ReturnsItem,
    "cohorts": CohortItem,
    "lateness": LatenessItem,
    "search": SearchItem,
    "ratings": RatingsItem,
    "moderation": ModerationItem,
    "performance": PerformanceItem,
    "overview": OverviewItem,
}

#: What a seller may see, of the own shop, and what operators may.
SELLER_REPORTS: tuple[ReportName, ...] = ("sales", "funnel", "returns", "cohorts", "lateness", "ratings", "performance")
ADMIN_REPORTS: tuple[ReportName, ...] = (
    "sales", "funnel", "returns", "cohorts", "lateness", "search", "ratings", "moderation", "performance", "overview",
)  # fmt: skip


class Report(Struct, frozen=True, kw_only=True):
    """``items`` are those of :data:`ITEMS` by the report's name, as JSON has them. Intervals without anything are left out.

    ``as_of``: when the last event that is counted happened; None: there is none. ``total``: of an overview, the whole time as
    one item, in the currency that was asked for, else the deployment's.
    """

    items: list[dict[str, Any]]
    as_of: datetime | None
    total: dict[str, Any] | None = None


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────

declare_scopes("seller", "reports")
declare_scopes("admin", "reports")


class Analytics(ABC):
    """Keeps every event of the deployment, without what tells of persons, and counts each once."""

    @abstractmethod
    @patient(seconds=30.0)
    @query
    async def report(self, name: ReportName, query: AdminReportQuery) -> Report:
        """:raises Invalid: ``from`` is after ``to``."""

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def restore(self, envelopes: list[str]) -> int:
        """Take events in that were sent before, each as the JSON of its envelope; what is there already stays one. How many can
        be read is returned. :raises Invalid: one is no envelope."""

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def forget(self, account_id: str) -> None:
        """Nothing that is kept, or comes later, leads to this person any more; what was counted stays counted."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class AnalyticsHooks:
    @hookspec
    def provide_analytics(self, context: PluginContext) -> Analytics:  # type: ignore[empty-body]
        """The capability's provider."""
