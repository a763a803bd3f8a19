"""What a provider of reports must tell of the whole: buyers, money that was captured, and where orders go."""

from __future__ import annotations

from typing import Any

import msgspec

from marketplace_core.capabilities.analytics import AdminReportQuery, Analytics, ReportName
from marketplace_core.capabilities.orders import PaymentView
from marketplace_core.capabilities.payments import PaymentChanged
from marketplace_core.testing.contracts.analytics_events import (
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
)
from marketplace_core.values import new_id

__all__ = ["OverviewRules"]


def paid(order: str, captured: int, currency: str = "EUR") -> PaymentChanged:
    """A payment after so much of it was captured in all."""
    zero, whole = eur(0, currency), eur(captured, currency)
    view = PaymentView(
        id=new_id(), gateway="g", status="captured", authorized=eur(9000, currency), captured=whole, refunded=zero
    )
    return PaymentChanged(order_id=order, payment=view)


class OverviewRules:
    async def items(self, analytics: Analytics, name: ReportName, **asked: Any) -> list[dict[str, Any]]:
        query = AdminReportQuery(**{"from_": FIRST, "to": LAST, "interval": "month", **asked})
        return (await analytics.report(name, query)).items

    async def test_an_overview_counts_a_buyer_of_two_days_once(self, analytics: Analytics) -> None:
        orders = [
            (confirmed(line(HERE, 1, 100), line(THERE, 1, 100)), at(1, 5)),
            (confirmed(line(HERE, 1, 100)), at(1, 6)),
            (confirmed(line(HERE, 1, 100), account=BOB), at(1, 6)),
            (confirmed(line(HERE, 1, 100), account=None), at(1, 6)),
        ]
        nothing = msgspec.structs.replace(confirmed(line(HERE, 1, 100), account="nobody"), lines=(), packages=())
        orders.append((nothing, at(1, 6)))  # as shops before us have written down
        await analytics.restore([sent(order, moment) for order, moment in orders])
        query = AdminReportQuery(from_=FIRST, to=LAST)
        found = await analytics.report("overview", query)
        assert [(item["orders"], item["sellers"], item["buyers"]) for item in found.items] == [(1, 2, 1), (3, 1, 2)]
        assert found.total is not None
        assert (found.total["orders"], found.total["sellers"], found.total["buyers"]) == (4, 2, 2)
        assert found.total["gross"] == {"amount": 500, "currency": "EUR"}

    async def test_what_was_paid_counts_when_it_was_captured(self, analytics: Analytics) -> None:
        """Payments are told whole after each change: what comes again, or is of no money, is no money more."""
        one, other = new_id(), new_id()
        told = [
            sent(paid(one, 0), at(1, 5), sequence=1),
            sent(paid(one, 300), at(1, 6), sequence=2),
            sent(paid(one, 300), at(1, 7), sequence=3),
            sent(paid(one, 1000), at(2, 1), sequence=4),
            sent(paid(other, 50), at(2, 2), sequence=1),
            sent(paid(new_id(), 7, "JPY"), at(2, 2), sequence=1),
        ]
        await analytics.restore(told[3:])
        await analytics.restore(told[:3])
        found = await self.items(analytics, "overview")
        assert [(item["from"][:7], item["paid"]) for item in found] == [
            ("2026-01", {"amount": 300, "currency": "EUR"}),
            ("2026-02", {"amount": 750, "currency": "EUR"}),
            ("2026-02", {"amount": 7, "currency": "JPY"}),
        ]
        query = AdminReportQuery(from_=LAST.replace(month=2, day=1), to=LAST)
        later = await analytics.report("overview", query)
        assert later.total is not None and later.total["paid"] == {"amount": 750, "currency": "EUR"}
        await analytics.restore([sent(confirmed(line(HERE, 1, 100)), at(2, 5))])
        own = await analytics.report("overview", msgspec.structs.replace(query, seller_id=HERE))
        assert own.total is not None and [item["paid"] for item in own.items] == [own.total["paid"]] == [None]

    async def test_orders_are_told_by_where_they_go(self, analytics: Analytics) -> None:
        orders = [
            confirmed(line(HERE, 1, 100), line(THERE, 1, 50), region="SP"),
            confirmed(line(HERE, 2, 100), region="SP", account=BOB),
            confirmed(line(HERE, 1, 5), region="RJ"),
            confirmed(line(HERE, 1, 1)),  # of a release that did not tell
        ]
        again = sent(orders[0], at(1, 5))
        await analytics.restore([again, again, *(sent(order, at(1, 6)) for order in orders[1:3]), sent(orders[3], at(2, 6))])
        first, second = await self.items(analytics, "overview")
        assert [(one["country"], one["region"], one["orders"], one["gross"]["amount"]) for one in first["regions"]] == [
            ("BR", "RJ", 1, 5),
            ("BR", "SP", 2, 350),
        ]
        assert (second["orders"], second["regions"]) == (1, [])
        [own] = await self.items(analytics, "overview", seller_id=THERE)
        assert [(one["region"], one["orders"], one["gross"]["amount"]) for one in own["regions"]] == [("SP", 1, 50)]
