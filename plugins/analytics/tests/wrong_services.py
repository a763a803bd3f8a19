"""Providers with one mistake each, and the rule of the suite that notices it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_args

import msgspec
from marketplace_analytics import retention
from marketplace_analytics.retention import Keeper
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.store import Asked
from marketplace_analytics.stores import clickhouse, reports
from marketplace_analytics.stores.clickhouse import ClickHouseStore

from marketplace_core.capabilities.analytics import Interval, Report
from marketplace_core.events import Envelope, Unreadable

__all__ = ["MISTAKES", "Mistake"]


class Mistake(NamedTuple):
    """``test`` fails where ``where`` has ``wrong`` as its ``name``."""

    test: str
    where: Any
    name: str
    wrong: Any


_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_EVERY = "\n".join(
    reports.statement(
        name, Asked(since=_DAY, until=_DAY, interval=interval, now=_DAY, currency="EUR" if seller else None, seller_id=seller)
    )[0]
    for name in reports.READ
    for interval in get_args(Interval)
    for seller in (None, "s")
)


def _said(test: str, *changes: tuple[str, str]) -> Mistake:
    """The statements of reports say something else."""
    right = reports.statement
    if gone := [old for old, _ in changes if old not in _EVERY]:
        raise ValueError(f"no report says {gone}")

    def statement(name: Any, asked: Asked) -> tuple[str, dict[str, Any]]:
        sql, parameters = right(name, asked)
        for old, new in changes:
            sql = sql.replace(old, new)
        return sql, parameters

    return Mistake(test, reports, "statement", statement)


def _raising(self: Keeper, envelope: Envelope, right: Callable[..., bytes] = Keeper.row) -> bytes:
    try:
        return right(self, envelope)
    except Unreadable as error:
        raise RuntimeError("an event that nobody knows") from error


def _strict(cls: Any) -> type[msgspec.Struct]:
    fields = [(field.encode_name, Any, None) for field in msgspec.structs.fields(cls)]
    return msgspec.defstruct("Strict", fields, forbid_unknown_fields=True)


def _unchecked(self: AnalyticsService, query: Any, interval: Any) -> Asked:
    now = datetime.now(UTC)
    return Asked(
        since=query.from_, until=query.to, interval=interval, now=now, currency=query.currency, seller_id=query.seller_id
    )


def _daily(self: AnalyticsService, asked: Asked, right: Any = AnalyticsService._total) -> Any:
    return right(self, msgspec.structs.replace(asked, until=asked.since + timedelta(days=4)))


async def _report_of_now(self: AnalyticsService, name: Any, query: Any, right: Any = AnalyticsService.report) -> Report:
    return msgspec.structs.replace(await right(self, name, query), as_of=datetime.now(UTC))


async def _forgets_the_past(self: AnalyticsService, account_id: str) -> None:
    await self._store.forget(self._keeper.mark(account_id))


async def _forgets_the_future(self: ClickHouseStore, mark: str) -> None:
    await self.forgotten()


MISTAKES: Mapping[str, Mistake] = {
    "each row that was written counts": Mistake(
        "test_an_event_counts_once_however_often_it_comes",
        clickhouse,
        "ONCE",
        clickhouse.ONCE.replace("final = 1", "final = 0", 1),
    ),
    "events are the same if they are of one moment": Mistake(
        "test_two_equal_events_at_one_moment_are_two", retention, "_uuid", lambda _: "01920000-0000-7000-8000-000000000000"
    ),
    "an event of a newer release ends the batch": Mistake("test_what_cannot_be_read_holds_up_nothing", Keeper, "row", _raising),
    "fields of a newer release are refused": Mistake(
        "test_what_this_release_does_not_know_of_an_event_is_passed_over", retention, "retained", _strict
    ),
    "weeks begin on Sundays": _said(
        "test_intervals_begin_at_midnight_on_mondays_and_on_the_first", ("toMonday", "toStartOfWeek")
    ),
    "months are thirty days": _said(
        "test_intervals_begin_at_midnight_on_mondays_and_on_the_first",
        ("toStartOfMonth(_at)", "toDate(toStartOfInterval(_at, INTERVAL 30 DAY))"),
    ),
    "the last day does not count": _said(
        "test_both_days_that_are_named_count",
        ("{until:DateTime64(3, 'UTC')}", "{until:DateTime64(3, 'UTC')} - toIntervalDay(1)"),
    ),
    "the first moment does not count": _said("test_both_days_that_are_named_count", ("_at >= {since", "_at > {since")),
    "no days are refused": Mistake("test_days_in_the_wrong_order_are_refused", AnalyticsService, "_asked", _unchecked),
    "a shop sees every line": _said("test_a_shop_sees_what_is_its_own", ("if(shop = {seller:String}, one, 0)", "one")),
    "a shop sees every parcel": _said("test_a_shop_sees_what_is_its_own", (" AND seller_id = {seller:String}", "")),
    "currencies are added up": _said(
        "test_nothing_is_added_up_across_currencies",
        ("total.currency AS currency", "'EUR' AS currency"),
    ),
    "every currency is shown": _said("test_nothing_is_added_up_across_currencies", ("total.currency = {currency:String}", "1")),
    "what never was an order is given back": _said(
        "test_sales_are_what_was_ordered_less_what_went_off_it", (reports.CONFIRMED, "1")
    ),
    "discounts are kept": _said(
        "test_sales_are_what_was_ordered_less_what_went_off_it", ("gross - discounts - refunds", "gross - refunds")
    ),
    "the whole is one interval of it": Mistake(
        "test_an_overview_counts_a_buyer_of_two_days_once", AnalyticsService, "_total", _daily
    ),
    "an order of nothing counts": _said("test_an_overview_counts_a_buyer_of_two_days_once", ("notEmpty(lines.seller_id)", "1")),
    "a guest is a buyer": _said(
        "test_an_overview_counts_a_buyer_of_two_days_once",
        ("uniqExactIf(cityHash64(account_id), account_id != '')", "uniqExact(coalesce(account_id, 'guest'))"),
    ),
    "what was captured before is captured again": _said(
        "test_what_was_paid_counts_when_it_was_captured", ("captured.amount - lagInFrame", "captured.amount + 0 * lagInFrame")
    ),
    "what was captured before the time counts in it": _said(
        "test_what_was_paid_counts_when_it_was_captured",
        ("payments_changed WHERE", f"payments_changed WHERE {reports.IN_TIME} AND"),
    ),
    "changes of a payment are taken as they came": _said(
        "test_what_was_paid_counts_when_it_was_captured",
        ("BY _sequence ROWS", "BY payment.captured.amount DESC ROWS"),
    ),
    "a payment is of a shop": Mistake(
        "test_what_was_paid_counts_when_it_was_captured", reports._Parts, "every_shop", property(lambda _: True)
    ),
    "regions are not told apart": _said(
        "test_orders_are_told_by_where_they_go",
        ("currency, country, region, count", "currency, country, 'all' AS region, count"),
    ),
    "a package is an order": _said(
        "test_orders_are_told_by_where_they_go", ("count() AS ordered", "sum(length(packages.seller_id)) AS ordered")
    ),
    "reasons are not told apart": _said(
        "test_returns_are_told_by_reason", ("refund.currency, reason, 0", "refund.currency, 'any', 0")
    ),
    "a cohort begins where the time does": _said(
        "test_cohorts_begin_with_the_first_order_of_all_time",
        ("WHERE account_id != ''", "WHERE account_id != '' AND _at >= {since:DateTime64(3, 'UTC')}"),
    ),
    "what has not come is not late": _said(
        "test_late_is_what_comes_after_its_day_or_not_at_all",
        ("coalesce(toDate32(arrived), toDate32({now:DateTime('UTC')}))", "ifNull(toDate32(arrived), promise)"),
    ),
    "the promised day is late": _said("test_late_is_what_comes_after_its_day_or_not_at_all", ("> promise AS", ">= promise AS")),
    "looks are counted and not people": _said(
        "test_a_funnel_counts_people_and_carts_once", ("uniqExact(cityHash64(person)) AS looked", "count() AS looked")
    ),
    "what was shown was looked at": _said(
        "test_a_funnel_counts_people_and_carts_once", ("has(signals.type, 'view')", "1"), ("signal = 'view'", "1")
    ),
    "the most results are the latest": _said(
        "test_searches_tell_what_found_nothing", ("argMaxIf(w.results, _at, w.searches > 0)", "max(w.results)")
    ),
    "a hidden review counts": _said(
        "test_a_review_counts_as_it_is_now_when_it_was_first_shown",
        ("argMax(tuple(rating), (version_number, _sequence)).1", "argMax(rating, (version_number, _sequence))"),
    ),
    "a review counts as it was": _said(
        "test_a_review_counts_as_it_is_now_when_it_was_first_shown", ("argMax(tuple(rating)", "argMin(tuple(rating)")
    ),
    "what waits is as old as it was when it was decided": _said(
        "test_moderation_tells_its_load_and_how_long_something_waited",
        ("least(toDateTime64(start", "greatest(toDateTime64(start"),
    ),
    "cancelled units are of every shop": _said(
        "test_performance_is_of_the_shop_that_is_asked_for",
        (
            f"WHERE {reports.IN_TIME} AND seller_id = {{seller:String}} AND order_id",
            "WHERE order_id",
        ),
    ),
    "it is always now": Mistake("test_as_of_is_when_the_last_event_happened", AnalyticsService, "report", _report_of_now),
    "who is forgotten comes back": Mistake(
        "test_who_is_forgotten_is_no_buyer_and_what_was_bought_counts", AnalyticsService, "forget", _forgets_the_past
    ),
    "what was known stays": Mistake(
        "test_who_is_forgotten_is_no_buyer_and_what_was_bought_counts", ClickHouseStore, "forget", _forgets_the_future
    ),
}
