"""The reports, one statement each.

A statement is put together from these parts and from what is asked: the interval chooses a function of time, and whether a
shop or a currency is meant adds a condition. Values are parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from marketplace_analytics.store import Asked
from marketplace_core.capabilities.analytics import ReportName

__all__ = ["READ", "REPEATABLE", "statement"]

_SALES = ("orders.confirmed", "orders.items_cancelled", "orders.items_returned")
_PARCELS = ("orders.package_shipped", "orders.package_delivered")
#: The types of event that a report is made of.
READ: Mapping[ReportName, Sequence[str]] = {
    "sales": (*_SALES, "orders.package_shipped"),
    "funnel": ("recommendations.signals_given", "cart.item_added", "orders.placed", "catalog.product_changed"),
    "returns": ("orders.package_shipped", "orders.items_returned"),
    "cohorts": ("orders.confirmed",),
    "lateness": _PARCELS,
    "search": ("search.counted",),
    "ratings": ("reviews.changed",),
    "moderation": ("moderation.submitted", "moderation.decided"),
    "performance": (*_SALES, *_PARCELS, "reviews.changed"),
    "overview": (*_SALES, "payments.changed"),
}
#: Those that come to the same however often an event stands there: nobody has to look for that.
REPEATABLE: frozenset[ReportName] = frozenset({"funnel", "cohorts", "ratings"})
_BUCKETS = {"day": "toDate", "week": "toMonday", "month": "toStartOfMonth"}
_STEPS = {"day": "toIntervalDay", "week": "toIntervalWeek", "month": "toIntervalMonth"}
IN_TIME = "_at >= {since:DateTime64(3, 'UTC')} AND _at < {until:DateTime64(3, 'UTC')}"
NOW = "toDateTime64({now:DateTime('UTC')}, 3, 'UTC')"
#: Of an order that never was none is given back.
CONFIRMED = "order_id IN (SELECT order_id FROM orders_confirmed)"


class _Parts:
    """``at(time)``: the interval of a moment. ``shop``, ``money``: conditions on columns, true where all are meant."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def at(self, moment: str = "_at") -> str:
        if self._asked.interval is None:
            return "toDate({since:DateTime64(3, 'UTC')})"
        return f"{_BUCKETS[self._asked.interval]}({moment})"

    def steps(self, count: str) -> str:
        return f"{_STEPS[self._asked.interval or 'day']}({count})"

    @property
    def unit(self) -> str:
        return f"'{self._asked.interval or 'day'}'"

    def shop(self, column: str = "seller_id") -> str:
        return f"{column} = {{seller:String}}" if self._asked.seller_id is not None else "1"

    def money(self, column: str) -> str:
        return f"{column}.currency = {{currency:String}}" if self._asked.currency is not None else "1"

    @property
    def every_shop(self) -> bool:
        return self._asked.seller_id is None

    def sold(self) -> str:
        """An order has something of this shop, or anything: of the past there are such that have nothing."""
        return "notEmpty(lines.seller_id)" if self.every_shop else "has(lines.seller_id, {seller:String})"

    def own(self, column: str, of: str = "packages") -> str:
        """The sum of a column of an order's packages, or lines, of this shop: nothing else of them is read."""
        if self.every_shop:
            return f"arraySum({of}.{column})"
        return f"arraySum((shop, one) -> if(shop = {{seller:String}}, one, 0), {of}.seller_id, {of}.{column})"

    def gross(self) -> str:
        return f"{self.own('total.amount')} + {self.own('discount.amount')}"

    def units(self) -> str:
        return self.own("quantity", of="lines")

    def sellers(self) -> str:
        return "packages.seller_id" if self.every_shop else "[{seller:String}]"

    def views(self) -> str:
        """Where it stands that products were looked at; of a shop those that it has now and had before."""
        if self.every_shop:
            return "recommendations_signals_given WHERE has(signals.type, 'view')"
        own = "SELECT product_id FROM catalog_product_changed WHERE seller_id = {seller:String}"
        return f"""recommendations_signals_given ARRAY JOIN signals.type AS signal, signals.product_id AS product_id
    WHERE signal = 'view' AND product_id IN ({own})"""

    def variants(self) -> str:
        if self._asked.seller_id is None:
            return "1"
        own = "SELECT v.id FROM catalog_product_changed ARRAY JOIN page.variants AS v WHERE seller_id = {seller:String}"
        return f"variant_id IN ({own})"


def statement(name: ReportName, asked: Asked) -> tuple[str, dict[str, Any]]:
    """The report's SQL and its parameters. Its rows have ``at``, and ``currency`` where there is money, in this order."""
    midnight = "%Y-%m-%d 00:00:00"
    parameters: dict[str, Any] = {
        "since": asked.since.strftime(midnight),
        "until": (asked.until + timedelta(days=1)).strftime(midnight),
        "now": asked.now.strftime("%Y-%m-%d %H:%M:%S"),
        "seller": asked.seller_id or "",
        "currency": asked.currency or "",
    }
    return _STATEMENTS[name](_Parts(asked)), parameters


def _sales(parts: _Parts) -> str:
    return f"""
SELECT at, currency, sum(ordered) AS orders, sum(units) AS units, sum(gross) AS gross,
    sum(discounts) AS discounts, sum(refunds) AS refunds, sum(commission) AS commission,
    gross - discounts - refunds - commission AS net
FROM (
    SELECT {parts.at()} AS at, total.currency AS currency, 1 AS ordered, {parts.units()} AS units, {parts.gross()} AS gross,
        {parts.own("discount.amount")} AS discounts, 0 AS refunds, 0 AS commission
    FROM orders_confirmed WHERE {IN_TIME} AND {parts.sold()} AND {parts.money("total")}
    UNION ALL
    {_refunds(parts, "0, 0, 0, 0", ", 0")}
    UNION ALL
    SELECT {parts.at()}, commission.currency, 0, 0, 0, 0, 0, commission.amount
    FROM orders_package_shipped WHERE {IN_TIME} AND {parts.shop()} AND {parts.money("commission")}
)
GROUP BY at, currency ORDER BY at, currency"""


def _refunds(parts: _Parts, before: str, after: str) -> str:
    return f"""SELECT {parts.at()}, amount.currency, {before}, amount.amount{after}
    FROM orders_items_cancelled WHERE {IN_TIME} AND {parts.shop()} AND {parts.money("amount")} AND {CONFIRMED}
    UNION ALL
    SELECT {parts.at()}, refund.currency, {before}, refund.amount{after}
    FROM orders_items_returned WHERE {IN_TIME} AND {parts.shop()} AND {parts.money("refund")}"""


def _overview(parts: _Parts) -> str:
    return f"""
SELECT at, currency, sum(ordered) AS orders, sum(money) AS gross, sum(back) AS refunds, sum(selling) AS sellers,
    sum(buying) AS buyers, {"sum(captured)" if parts.every_shop else "NULL"} AS paid,
    arraySort(groupArrayIf((country, region, ordered, money), country != '')) AS regions
FROM (
    SELECT {parts.at()} AS at, total.currency AS currency, country, region, count() AS ordered, sum({parts.gross()}) AS money,
        0 AS selling, 0 AS buying, 0 AS back, 0 AS captured
    FROM orders_confirmed WHERE {IN_TIME} AND {parts.sold()} AND {parts.money("total")}
    GROUP BY at, currency, country, region
    UNION ALL
    SELECT {parts.at()} AS at, total.currency AS currency, '', '', 0, 0, uniqExactArray({parts.sellers()}),
        uniqExactIf({_mark("account_id")}, account_id != ''), 0, 0
    FROM orders_confirmed WHERE {IN_TIME} AND {parts.sold()} AND {parts.money("total")}
    GROUP BY at, currency
    UNION ALL
    {_refunds(parts, "'', '', 0, 0, 0, 0", ", 0")}
    {_paid(parts)}
)
GROUP BY at, currency ORDER BY at, currency"""


def _paid(parts: _Parts) -> str:
    """What each change of a payment captured more than the one before: payments are told whole, and are of no shop."""
    if not parts.every_shop:
        return ""
    return f"""UNION ALL
    SELECT {parts.at()}, currency, '', '', 0, 0, 0, 0, 0, more
    FROM (
        SELECT _at, payment.captured.currency AS currency, payment.captured.amount - lagInFrame(payment.captured.amount, 1, 0)
            OVER (PARTITION BY order_id ORDER BY _sequence ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS more
        FROM payments_changed WHERE _at < {{until:DateTime64(3, 'UTC')}} AND {parts.money("payment.captured")}
    )
    WHERE {IN_TIME} AND more != 0"""


def _funnel(parts: _Parts) -> str:
    return f"""
SELECT at, sum(looked) AS viewers, sum(filled) AS carts, sum(placed) AS orders,
    if(viewers = 0, NULL, round(carts / viewers, 4)) AS view_to_cart,
    if(carts = 0, NULL, round(orders / carts, 4)) AS cart_to_order
FROM (
    SELECT {parts.at()} AS at, uniqExact({_mark("person")}) AS looked, 0 AS filled, 0 AS placed
    FROM {parts.views()} AND {IN_TIME} AND person != '' GROUP BY at
    UNION ALL
    SELECT {parts.at()} AS at, 0, uniqExact({_mark("cart_id")}), 0
    FROM cart_item_added WHERE {IN_TIME} AND {parts.variants()} GROUP BY at
    UNION ALL
    SELECT {parts.at()} AS at, 0, 0, uniqExact(order_id)
    FROM orders_placed WHERE {IN_TIME} AND {parts.sold()} GROUP BY at
)
GROUP BY at ORDER BY at"""


def _mark(column: str) -> str:
    """A person's mark is 128 bits of chance: 64 of them tell millions apart, in half the time."""
    return f"cityHash64({column})"


def _returns(parts: _Parts) -> str:
    return f"""
SELECT at, currency, sum(shipped) AS units, sum(back) AS returned, if(units = 0, NULL, round(returned / units, 4)) AS rate,
    sum(money) AS refunded, arraySort(groupArrayIf((reason, back, money), reason != '')) AS reasons
FROM (
    SELECT at, currency, reason, sum(shipped) AS shipped, sum(back) AS back, sum(money) AS money
    FROM (
        SELECT {parts.at()} AS at, amount.currency AS currency, '' AS reason, arraySum(lines.quantity) AS shipped, 0 AS back,
            0 AS money
        FROM orders_package_shipped WHERE {IN_TIME} AND {parts.shop()} AND {parts.money("amount")}
        UNION ALL
        SELECT {parts.at()}, refund.currency, reason, 0, arraySum(lines.quantity), refund.amount
        FROM orders_items_returned WHERE {IN_TIME} AND {parts.shop()} AND {parts.money("refund")}
    )
    GROUP BY at, currency, reason
)
GROUP BY at, currency ORDER BY at, currency"""


def _cohorts(parts: _Parts) -> str:
    return f"""
SELECT first AS at, dateDiff('month', first, month) AS later, count() AS people
FROM (
    SELECT arrayMin(months) AS first, arrayJoin(months) AS month
    FROM (
        SELECT assumeNotNull(account_id) AS person, groupUniqArray(toStartOfMonth(_at)) AS months
        FROM orders_confirmed
        WHERE account_id != '' AND {"1" if parts.shop() == "1" else "has(lines.seller_id, {seller:String})"}
        GROUP BY person
    )
)
WHERE first >= toStartOfMonth({{since:DateTime64(3, 'UTC')}}) AND first < {{until:DateTime64(3, 'UTC')}}
GROUP BY at, later ORDER BY at, later"""


def _late(parts: _Parts, at: str) -> str:
    """A row for each parcel that was shipped."""
    return f"""
    SELECT {at} AS at, arrived, toDate32(assumeNotNull(promised)) AS promise, promised IS NOT NULL AS is_promised,
        is_promised AND coalesce(toDate32(arrived), toDate32({{now:DateTime('UTC')}})) > promise AS is_late,
        dateDiff('second', s._at, arrived) / 86400 AS days
    FROM (SELECT _at, package_id, promised FROM orders_package_shipped WHERE {IN_TIME} AND {parts.shop()}) AS s
    LEFT JOIN (
        SELECT package_id, min(_at) AS arrived FROM orders_package_delivered
        WHERE _at >= {{since:DateTime64(3, 'UTC')}} AND {parts.shop()} GROUP BY package_id
    ) AS d USING package_id"""


def _lateness(parts: _Parts) -> str:
    return f"""
SELECT at, count() AS shipped, countIf(is_late) AS late, round(late / shipped, 4) AS rate,
    if(countIf(arrived IS NOT NULL AND is_promised) = 0, NULL,
        round(countIf(arrived IS NOT NULL AND is_promised AND NOT is_late) / countIf(arrived IS NOT NULL AND is_promised), 4)
    ) AS promise_kept,
    if(countIf(arrived IS NOT NULL) = 0, NULL, round(medianExact(days), 2)) AS median_days
FROM ({_late(parts, parts.at("s._at"))})
GROUP BY at ORDER BY at"""


def _search(parts: _Parts) -> str:
    return f"""
SELECT at, sum(times) AS searches, sum(nothing) AS without_result,
    if(searches = 0, NULL, round(sum(clicks) / searches, 4)) AS click_through,
    arraySlice(arraySort(x -> (-x.2, x.1), groupArrayIf((query, times, latest), times > 0)), 1, 10) AS top
FROM (
    SELECT {parts.at()} AS at, w.query AS query, sum(w.searches) AS times, sum(w.without_result) AS nothing,
        sum(w.clicks) AS clicks, argMaxIf(w.results, _at, w.searches > 0) AS latest
    FROM search_counted ARRAY JOIN words AS w WHERE {IN_TIME} GROUP BY at, query
)
GROUP BY at ORDER BY at"""


def _reviews(parts: _Parts) -> str:
    """A row for each review that is shown, when it first was."""
    return f"""
    SELECT minIf(_at, rating IS NOT NULL) AS first, argMax(tuple(rating), (version_number, _sequence)).1 AS stars
    FROM reviews_changed WHERE {parts.shop()} GROUP BY review_id
    HAVING stars IS NOT NULL AND first >= {{since:DateTime64(3, 'UTC')}} AND first < {{until:DateTime64(3, 'UTC')}}"""


def _ratings(parts: _Parts) -> str:
    counts = ", ".join(f"'{stars}', countIf(stars = {stars})" for stars in range(1, 6))
    return f"""
SELECT {parts.at("first")} AS at, count() AS reviews, round(avg(stars), 2) AS average, map({counts}) AS histogram
FROM ({_reviews(parts)})
GROUP BY at ORDER BY at"""


def _moderation(parts: _Parts) -> str:
    """What waits is looked at where each interval ends, or now."""
    return f"""
SELECT at, sum(submitted) AS submitted, sum(approved) AS approved, sum(rejected) AS rejected, sum(by_checks) AS by_checks,
    sum(overturned) AS overturned, max(waits) AS oldest_seconds
FROM (
    SELECT {parts.at()} AS at, 1 AS submitted, 0 AS approved, 0 AS rejected, 0 AS by_checks, 0 AS overturned,
        CAST(NULL, 'Nullable(Int64)') AS waits
    FROM moderation_submitted WHERE {IN_TIME}
    UNION ALL
    SELECT {parts.at()}, 0, approved, NOT approved, by = 'checks', overturned, NULL FROM moderation_decided WHERE {IN_TIME}
    UNION ALL
    SELECT arrayJoin(arrayMap(n -> {parts.at("sent")} + {parts.steps("n")}, range(toUInt32(
            dateDiff({parts.unit}, {parts.at("sent")}, {parts.at("ended")}) + if(is_open, 1, 0))))) AS start, 0, 0, 0, 0, 0,
        dateDiff('second', sent, least(toDateTime64(start + {parts.steps("1")}, 3, 'UTC'), {NOW}))
    FROM (
        SELECT s.sent AS sent, d.decided IS NULL AS is_open,
            coalesce(d.decided, {NOW}) AS ended
        FROM (
            SELECT subject, content.version AS version, min(_at) AS sent FROM moderation_submitted
            WHERE _at < {{until:DateTime64(3, 'UTC')}} GROUP BY subject, version
        ) AS s
        LEFT JOIN (
            SELECT subject, content.version AS version, min(_at) AS decided FROM moderation_decided GROUP BY subject, version
        ) AS d USING (subject, version)
        WHERE ended >= sent
    )
    WHERE start >= {parts.at("{since:DateTime64(3, 'UTC')}")} AND start < {{until:DateTime64(3, 'UTC')}}
)
GROUP BY at ORDER BY at"""


def _performance(parts: _Parts) -> str:
    return f"""
SELECT at, if(sum(shipped) = 0, NULL, round(sum(late) / sum(shipped), 4)) AS late_rate,
    if(sum(sold) = 0, NULL, round(sum(cancelled) / sum(sold), 4)) AS cancel_rate,
    if(sum(sent) = 0, NULL, round(sum(back) / sum(sent), 4)) AS return_rate,
    if(sum(reviews) = 0, NULL, round(sum(stars) / sum(reviews), 2)) AS rating
FROM (
    SELECT at, 1 AS shipped, is_late AS late, 0 AS sold, 0 AS cancelled, 0 AS sent, 0 AS back, 0 AS reviews, 0 AS stars
    FROM ({_late(parts, parts.at("s._at"))})
    UNION ALL
    SELECT {parts.at()}, 0, 0, {parts.units()}, 0, 0, 0, 0, 0 FROM orders_confirmed WHERE {IN_TIME} AND {parts.sold()}
    UNION ALL
    SELECT {parts.at()}, 0, 0, 0, arraySum(lines.quantity), 0, 0, 0, 0 FROM orders_items_cancelled
    WHERE {IN_TIME} AND {parts.shop()} AND {CONFIRMED}
    UNION ALL
    SELECT {parts.at()}, 0, 0, 0, 0, arraySum(lines.quantity), 0, 0, 0 FROM orders_package_shipped
    WHERE {IN_TIME} AND {parts.shop()}
    UNION ALL
    SELECT {parts.at()}, 0, 0, 0, 0, 0, arraySum(lines.quantity), 0, 0 FROM orders_items_returned
    WHERE {IN_TIME} AND {parts.shop()}
    UNION ALL
    SELECT {parts.at("first")}, 0, 0, 0, 0, 0, 0, 1, assumeNotNull(stars) FROM ({_reviews(parts)})
)
GROUP BY at ORDER BY at"""


_STATEMENTS: dict[ReportName, Callable[[_Parts], str]] = {
    "sales": _sales,
    "funnel": _funnel,
    "returns": _returns,
    "cohorts": _cohorts,
    "lateness": _lateness,
    "search": _search,
    "ratings": _ratings,
    "moderation": _moderation,
    "performance": _performance,
    "overview": _overview,
}
