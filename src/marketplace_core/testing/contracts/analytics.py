"""What every provider of :class:`~marketplace_core.capabilities.analytics.Analytics` must do, by events alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from marketplace_core.capabilities.analytics import AdminReportQuery, Analytics
from marketplace_core.capabilities.moderation import Content, ContentDecided, ContentSubmitted
from marketplace_core.capabilities.orders import (
    ItemsCancelled,
    ItemsReturned,
    PackageDelivered,
)
from marketplace_core.capabilities.recommendations import Signal, SignalsGiven
from marketplace_core.capabilities.reviews import ReviewChanged
from marketplace_core.capabilities.search import SearchesCounted, WordsCounted
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.analytics_events import (
    ADA,
    BOB,
    FIRST,
    HERE,
    LAST,
    THERE,
    at,
    confirmed,
    eur,
    line,
    sent,
    shipped,
)
from marketplace_core.testing.contracts.analytics_overview import OverviewRules
from marketplace_core.values import new_id

__all__ = ["HERE", "THERE", "AnalyticsContract", "at", "confirmed", "eur", "line", "sent"]


class AnalyticsContract(OverviewRules):
    """Fixtures: ``analytics``, the port of a provider that has no events yet, in a marketplace whose currency is EUR."""

    # ── once ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_event_counts_once_however_often_it_comes(self, analytics: Analytics) -> None:
        order = confirmed(line(HERE, 2, 500))
        again = sent(order, at(1, 5))
        assert await analytics.restore([again, again]) == 2
        await analytics.restore([again])
        [item] = await self.items(analytics, "sales")
        assert (item["orders"], item["units"], item["gross"]) == (1, 2, {"amount": 1000, "currency": "EUR"})

    async def test_two_equal_events_at_one_moment_are_two(self, analytics: Analytics) -> None:
        order = confirmed(line(HERE, 1, 100))
        await analytics.restore([sent(order, at(1, 5)), sent(order, at(1, 5))])
        [item] = await self.items(analytics, "sales")
        assert item["gross"]["amount"] == 200

    async def test_what_cannot_be_read_holds_up_nothing(self, analytics: Analytics) -> None:
        good = sent(confirmed(line(HERE, 1, 100)), at(1, 5))
        newer = sent(confirmed(line(HERE, 1, 100)), at(1, 5)).replace('"version":1', '"version":99')
        unknown = sent(confirmed(line(HERE, 1, 100)), at(1, 5)).replace('"orders.confirmed"', '"orders.teleported"')
        assert await analytics.restore([newer, good, unknown]) == 1
        assert [item["orders"] for item in await self.items(analytics, "sales")] == [1]

    async def test_what_this_release_does_not_know_of_an_event_is_passed_over(self, analytics: Analytics) -> None:
        more = sent(confirmed(line(HERE, 1, 100)), at(1, 5)).replace('"number":"1"', '"number":"1","colour":{"of":["later"]}')
        assert await analytics.restore([more]) == 1
        assert [item["orders"] for item in await self.items(analytics, "sales")] == [1]

    # ── intervals, shops, currencies ─────────────────────────────────────────────────────────────────────────

    async def test_intervals_begin_at_midnight_on_mondays_and_on_the_first(self, analytics: Analytics) -> None:
        moments = [at(1, 4, 23), at(1, 5, 0), at(2, 1, 0)]  # a Sunday, a Monday, a Sunday
        await analytics.restore([sent(confirmed(line(HERE, 1, 100)), moment) for moment in moments])
        found = {
            interval: [(item["from"][:10], item["orders"]) for item in await self.items(analytics, "sales", interval=interval)]
            for interval in ("day", "week", "month")
        }
        assert found == {
            "day": [("2026-01-04", 1), ("2026-01-05", 1), ("2026-02-01", 1)],
            "week": [("2025-12-29", 1), ("2026-01-05", 1), ("2026-01-26", 1)],
            "month": [("2026-01-01", 2), ("2026-02-01", 1)],
        }

    async def test_both_days_that_are_named_count(self, analytics: Analytics) -> None:
        moments = [at(1, 1, 0) - timedelta(milliseconds=1), at(1, 1, 0), at(1, 2, 23), at(1, 3, 0)]
        await analytics.restore([sent(confirmed(line(HERE, 1, 100)), moment) for moment in moments])
        found = await self.items(analytics, "sales", from_=date(2026, 1, 1), to=date(2026, 1, 2), interval="day")
        assert [item["from"][:10] for item in found] == ["2026-01-01", "2026-01-02"]

    async def test_days_in_the_wrong_order_are_refused(self, analytics: Analytics) -> None:
        await refused("validation", analytics.report("sales", AdminReportQuery(from_=LAST, to=FIRST)))

    async def test_a_shop_sees_what_is_its_own(self, analytics: Analytics) -> None:
        order = confirmed(line(HERE, 2, 500), line(THERE, 1, 900), shipping=100)
        other = confirmed(line(THERE, 1, 50), account=BOB)
        await analytics.restore([sent(order, at(1, 5)), sent(other, at(1, 5))])
        await analytics.restore([sent(shipped(THERE, 1, package=new_id(), commission=90), at(1, 6))])
        [own] = await self.items(analytics, "sales", seller_id=HERE)
        assert (own["orders"], own["units"], own["gross"]["amount"], own["commission"]["amount"]) == (1, 2, 1100, 0)
        [all_] = await self.items(analytics, "sales")
        assert (all_["orders"], all_["units"], all_["gross"]["amount"], all_["commission"]["amount"]) == (2, 4, 2150, 90)
        for name in ("returns", "lateness", "ratings", "funnel"):
            assert await self.items(analytics, name, seller_id=new_id()) == [], name
        [cohort] = await self.items(analytics, "cohorts", seller_id=HERE)
        assert cohort["people"] == 1

    async def test_nothing_is_added_up_across_currencies(self, analytics: Analytics) -> None:
        orders = [confirmed(line(HERE, 1, 100, currency)) for currency in ("EUR", "JPY")]
        await analytics.restore([sent(order, at(1, 5)) for order in orders])
        found = await self.items(analytics, "sales")
        assert [(item["currency"], item["gross"]) for item in found] == [
            ("EUR", {"amount": 100, "currency": "EUR"}),
            ("JPY", {"amount": 100, "currency": "JPY"}),
        ]
        assert [item["currency"] for item in await self.items(analytics, "sales", currency="JPY")] == ["JPY"]

    # ── reports ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_sales_are_what_was_ordered_less_what_went_off_it(self, analytics: Analytics) -> None:
        order = confirmed(line(HERE, 3, 1000), discount=300, shipping=500)
        package = order.packages[0].package_id
        cancelled = ItemsCancelled(
            order_id=order.order_id,
            package_id=package,
            lines=[line(HERE, 1, 900)],
            amount=eur(900),
            remaining=eur(2300),
            seller_id=HERE,
        )
        never = msgspec.structs.replace(cancelled, order_id=new_id())
        back = ItemsReturned(
            order_id=order.order_id,
            package_id=package,
            seller_id=HERE,
            lines=[line(HERE, 1, 900)],
            reason="size",
            refund=eur(850),
        )
        events = [order, cancelled, never, shipped(HERE, 2, package=package, commission=200), back]
        await analytics.restore([sent(event, at(1, 5)) for event in events])
        [item] = await self.items(analytics, "sales")
        amounts = {name: item[name]["amount"] for name in ("gross", "discounts", "refunds", "commission", "net")}
        assert amounts == {"gross": 3500, "discounts": 300, "refunds": 1750, "commission": 200, "net": 1250}
        assert (item["orders"], item["units"]) == (1, 3)

    async def test_returns_are_told_by_reason(self, analytics: Analytics) -> None:
        def back(reason: str, units: int) -> ItemsReturned:
            lines = [line(HERE, units, 100)]
            return ItemsReturned(
                order_id=new_id(), package_id=new_id(), seller_id=HERE, lines=lines, reason=reason, refund=eur(units * 100)
            )

        events = [shipped(HERE, 8, package=new_id()), back("size", 1), back("broken", 2), back("size", 1)]
        await analytics.restore([sent(event, at(1, 5)) for event in events])
        [item] = await self.items(analytics, "returns")
        assert (item["units"], item["returned"], item["rate"], item["refunded"]["amount"]) == (8, 4, 0.5, 400)
        assert [(one["reason"], one["returned"], one["refunded"]["amount"]) for one in item["reasons"]] == [
            ("broken", 2, 200),
            ("size", 2, 200),
        ]

    async def test_cohorts_begin_with_the_first_order_of_all_time(self, analytics: Analytics) -> None:
        orders = [(ADA, at(1, 5)), (ADA, at(1, 20)), (ADA, at(3, 1)), (BOB, at(1, 31)), (None, at(1, 5))]
        early = (confirmed(line(HERE, 1, 100), account=new_id()), datetime(2025, 12, 1, tzinfo=UTC))
        told = [(confirmed(line(HERE, 1, 100), account=account), moment) for account, moment in orders]
        told += [early, (msgspec.structs.replace(early[0], order_id=new_id()), at(2, 2))]
        await analytics.restore([sent(order, moment) for order, moment in told])
        found = await self.items(analytics, "cohorts")
        assert [(item["first_month"], item["people"], item["active"]) for item in found] == [("2026-01", 2, [2, 0, 1])]

    async def test_late_is_what_comes_after_its_day_or_not_at_all(self, analytics: Analytics) -> None:
        packages = [new_id() for _ in range(4)]
        promised = ["2026-01-10", "2026-01-10", "2026-01-10", None]
        events = [(shipped(HERE, 1, package=p, promised=day), at(1, 5)) for p, day in zip(packages, promised, strict=True)]
        told = [sent(event, moment) for event, moment in events]
        for package, day in ((packages[0], 10), (packages[1], 11), (packages[3], 20)):
            told.append(sent(PackageDelivered(order_id=new_id(), package_id=package, seller_id=HERE), at(1, day)))
        await analytics.restore(told)
        [item] = await self.items(analytics, "lateness")
        assert (item["shipped"], item["late"], item["rate"], item["promise_kept"]) == (4, 2, 0.5, 0.5)
        assert item["median_days"] == 6

    async def test_a_funnel_counts_people_and_carts_once(self, analytics: Analytics) -> None:
        def looked(person: str | None, type_: Any = "view") -> SignalsGiven:
            signals = tuple(Signal(type=type_, product_id=new_id(), source=None, at=at(1, 5)) for _ in range(2))
            return SignalsGiven(entrance="e", person=person, signals=signals)

        events = [looked(ADA), looked(ADA), looked(BOB), looked(None), looked(new_id(), "impression")]
        await analytics.restore([sent(event, at(1, 5)) for event in events])
        [item] = await self.items(analytics, "funnel")
        assert (item["viewers"], item["carts"], item["orders"]) == (2, 0, 0)
        assert (item["view_to_cart"], item["cart_to_order"]) == (0.0, None)

    async def test_searches_tell_what_found_nothing(self, analytics: Analytics) -> None:
        def counted(query: str, searches: int, nothing: int, results: int, clicks: int) -> SearchesCounted:
            words = WordsCounted(query=query, searches=searches, without_result=nothing, results=results, clicks=clicks)
            return SearchesCounted(entrance="e", words=(words,))

        events = [(counted("pot", 2, 0, 9, 1), 5), (counted("pot", 1, 0, 7, 0), 6), (counted("yacht", 1, 1, 0, 0), 5)]
        await analytics.restore([sent(event, at(1, day)) for event, day in events])
        [item] = await self.items(analytics, "search")
        assert (item["searches"], item["without_result"], item["click_through"]) == (4, 1, 0.25)
        assert item["top"] == [
            {"query": "pot", "searches": 3, "results": 7},
            {"query": "yacht", "searches": 1, "results": 0},
        ]

    async def test_a_review_counts_as_it_is_now_when_it_was_first_shown(self, analytics: Analytics) -> None:
        reviews = [new_id() for _ in range(3)]

        def changed(review: int, rating: int | None, version: int) -> ReviewChanged:
            return ReviewChanged(
                review_id=reviews[review],
                product_id="p",
                seller_id=HERE,
                account_id=ADA,
                rating=rating,
                status="published",
                version_number=version,
            )

        steps = [(0, None, 1, 1), (0, 5, 1, 2), (0, 3, 2, 3), (1, 4, 1, 1), (2, 1, 1, 1), (2, None, 2, 2)]
        told = [
            sent(changed(review, rating, version), at(1, 5) + timedelta(days=20 * number), sequence=number)
            for review, rating, version, number in steps
        ]
        await analytics.restore(told)
        found = await self.items(analytics, "ratings")
        assert [(item["from"][:7], item["reviews"], item["average"]) for item in found] == [
            ("2026-01", 1, 4.0),
            ("2026-02", 1, 3.0),
        ]
        assert found[0]["histogram"] == {"1": 0, "2": 0, "3": 0, "4": 1, "5": 0}

    async def test_moderation_tells_its_load_and_how_long_something_waited(self, analytics: Analytics) -> None:
        def content(name: str) -> Content:
            return Content("review", name, 1)

        def submitted(name: str) -> ContentSubmitted:
            return ContentSubmitted(
                subject=f"review/{name}", content=content(name), cause="new", author_id=ADA, snapshot={"text": "Something."}
            )

        def decided(name: str, approved: bool) -> ContentDecided:
            return ContentDecided(subject=f"review/{name}", content=content(name), approved=approved)

        told = [sent(submitted(name), at(1, 5)) for name in ("a", "b")]
        told += [sent(decided("a", True), at(1, 5, 13)), sent(decided("b", False), at(1, 7))]
        await analytics.restore(told)
        found = await self.items(analytics, "moderation", interval="day")
        counts = [(item["from"][8:10], item["submitted"], item["approved"], item["rejected"]) for item in found]
        assert counts == [("05", 2, 1, 0), ("06", 0, 0, 0), ("07", 0, 0, 1)]
        assert [item["oldest_seconds"] for item in found] == [12 * 3600, 36 * 3600, None]

    async def test_performance_is_of_the_shop_that_is_asked_for(self, analytics: Analytics) -> None:
        package = new_id()
        order = confirmed(line(HERE, 4, 100), line(THERE, 4, 100))
        cancelled = ItemsCancelled(
            order_id=order.order_id,
            package_id=package,
            lines=[line(HERE, 1, 100)],
            amount=eur(100),
            remaining=eur(0),
            seller_id=HERE,
        )
        events = [order, cancelled, shipped(HERE, 3, package=package, promised="2026-01-06")]
        await analytics.restore([sent(event, at(1, 5)) for event in events])
        [item] = await self.items(analytics, "performance", seller_id=HERE)
        assert (item["late_rate"], item["cancel_rate"], item["return_rate"], item["rating"]) == (1.0, 0.25, 0.0, None)
        [other] = await self.items(analytics, "performance", seller_id=THERE)
        assert (other["late_rate"], other["cancel_rate"]) == (None, 0.0)

    async def test_as_of_is_when_the_last_event_happened(self, analytics: Analytics) -> None:
        query = AdminReportQuery(from_=FIRST, to=LAST)
        assert (await analytics.report("sales", query)).as_of is None
        await analytics.restore([sent(confirmed(line(HERE, 1, 100)), moment) for moment in (at(2, 1), at(1, 5))])
        assert (await analytics.report("sales", query)).as_of == at(2, 1)

    # ── persons ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_who_is_forgotten_is_no_buyer_and_what_was_bought_counts(self, analytics: Analytics) -> None:
        await analytics.restore([sent(confirmed(line(HERE, 1, 100), account=account), at(1, 5)) for account in (ADA, BOB)])
        await analytics.forget(ADA)
        await analytics.forget(ADA)
        await analytics.restore([sent(confirmed(line(HERE, 1, 100), account=ADA), at(1, 5))])
        [item] = await self.items(analytics, "overview")
        assert (item["orders"], item["buyers"], item["gross"]["amount"]) == (3, 1, 300)
        assert [cohort["people"] for cohort in await self.items(analytics, "cohorts")] == [1]
