"""The rules of an order: units, cents and how far it is, whatever happens in whatever order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from marketplace_orders.domain import (
    Charge,
    Discount,
    Line,
    NotPossible,
    Package,
    Shipment,
    TrackingEvent,
    cancel_units,
    commission,
    order_status,
    remaining,
    share,
    ship_units,
    units_left,
)
from marketplace_orders.tracking import TRACKING, track

from marketplace_core.values import Money, new_id, split_money

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def line(id_: str, quantity: int, total: int, *, tax: int = 0) -> Line:
    return Line(
        id=id_,
        variant_id=id_,
        product_id="p",
        sku=id_,
        title="Tea pot",
        options={},
        image=None,
        quantity=quantity,
        unit_price=eur(total // quantity),
        subtotal=eur(total),
        discount=eur(0),
        tax=eur(tax),
        tax_rate="0",
        total=eur(total),
    )


def package(*lines: Line, shipping: int = 499, rate: str = "0.1") -> Package:
    subtotal = Money.sum((one.total for one in lines), "EUR")
    return Package(
        id=new_id(),
        seller_id="s",
        seller_name="Kettle",
        country="DE",
        commission_rate=rate,
        status="confirmed",
        items=list(lines),
        option=None,
        subtotal=subtotal,
        discount=eur(0),
        tax=eur(0),
        shipping=eur(shipping),
        total=subtotal + eur(shipping),
        captured=eur(0),
    )


def parcel(of: Package, status: str = "pending", *codes: str) -> Shipment:
    events = [TrackingEvent(code, None, NOW) for code in codes]
    return Shipment(new_id(), of.id, "dhl", "standard", status, None, "token", {}, events=events)


def told(known: Shipment, status: str) -> Shipment:
    """The same parcel, as logistics tells of it later."""
    events = [*known.events, TrackingEvent(status, None, NOW)]
    return Shipment(known.id, known.package_id, "dhl", "standard", status, "T1", "token", known.items, events=events)


# ── cents ────────────────────────────────────────────────────────────────────────────────────────────────────


@given(quantity=st.integers(1, 60), total=st.integers(0, 10_000), data=st.data())
def test_a_share_is_that_of_the_split_by_unit(quantity: int, total: int, data: Any) -> None:
    one = line("a", quantity, total)
    one.shipped = data.draw(st.integers(0, quantity))
    one.cancelled = data.draw(st.integers(0, quantity - one.shipped))
    count = data.draw(st.integers(0, one.left))
    begin = one.shipped + one.cancelled
    expected = Money.sum(split_money(one.total, [1] * quantity)[begin : begin + count], "EUR")
    assert share(one, one.total, {"a": count}) == expected


def test_a_million_units_are_no_work() -> None:
    one = line("a", 1_000_000, 1_999_999)
    assert share(one, one.total, {"a": 999_999}) == eur(1_999_998)


def test_shipping_goes_with_the_first_parcel() -> None:
    whole = package(line("a", 3, 1000, tax=10), shipping=499)
    assert ship_units(whole, {"a": 1}, parcel(whole)) == Charge(eur(334 + 499), eur(499), eur(4), eur(34), eur(0))
    assert ship_units(whole, {"a": 2}, parcel(whole)) == Charge(eur(666), eur(0), eur(6), eur(66), eur(0))
    assert (whole.captured, whole.status) == (whole.total, "shipped")


@pytest.mark.behaviour("payments-4")
def test_what_is_taken_off_is_neither_paid_nor_given_back() -> None:
    """Of 1000, the seller gives 100 and the marketplace 50: the commission is of 900, and the seller gets the 50."""
    one = line("a", 3, 1000)
    one.discounts = [Discount("sale", "Sale", "seller", eur(100)), Discount("loyalty", "Gold", "platform", eur(50))]
    one.discount, one.total = eur(150), eur(850)
    whole = package(one, shipping=0)
    assert (one.commission_base, one.subsidy) == (eur(900), eur(50))
    assert cancel_units(whole, {"a": 1}) == eur(284)
    assert ship_units(whole, {"a": 2}, parcel(whole)) == Charge(eur(566), eur(0), eur(0), eur(60), eur(33))
    assert (eur(284) + whole.captured, remaining([whole], "EUR")) == (one.total, eur(0))


def test_shipping_is_not_paid_when_nothing_goes_out() -> None:
    whole = package(line("a", 2, 1001), line("b", 1, 500), shipping=499)
    assert cancel_units(whole, {"a": 1, "b": 1}) == eur(501 + 500)
    assert remaining([whole], "EUR") == eur(500 + 499)
    assert cancel_units(whole, {"a": 1}) == eur(500 + 499)
    assert (whole.status, remaining([whole], "EUR")) == ("cancelled", eur(0))


def test_the_rest_of_a_package_that_has_gone_out_costs_no_shipping() -> None:
    whole = package(line("a", 2, 1001), shipping=499)
    ship_units(whole, {"a": 1}, parcel(whole))
    assert remaining([whole], "EUR") == eur(500)
    assert cancel_units(whole, {"a": 1}) == eur(500)
    assert whole.status == "shipped"


@pytest.mark.parametrize("units", [{"a": 4}, {"a": 3, "b": 1}, {"x": 1}, {}, {"a": 0}])
def test_what_is_not_left_changes_nothing(units: dict[str, int]) -> None:
    whole = package(line("a", 3, 1000), line("b", 1, 500))
    cancel_units(whole, {"b": 1})
    before = repr(whole)
    with pytest.raises(NotPossible):
        cancel_units(whole, units)
    with pytest.raises(NotPossible):
        ship_units(whole, units, parcel(whole))
    assert repr(whole) == before


# ── how far it is ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["pending"], "pending"),
        (["confirmed", "confirmed"], "confirmed"),
        (["confirmed", "shipped"], "partially_shipped"),
        (["confirmed", "partially_shipped"], "partially_shipped"),
        (["confirmed", "completed"], "partially_shipped"),
        (["partially_shipped", "delivered"], "partially_shipped"),
        (["shipped", "delivered"], "shipped"),
        (["delivered", "cancelled"], "delivered"),
        (["completed", "delivered"], "delivered"),
        (["completed", "cancelled"], "completed"),
        (["cancelled", "cancelled"], "cancelled"),
    ],
)
def test_an_order_is_as_far_as_its_least_advanced_package(statuses: list[str], expected: str) -> None:
    packages = [package(line("a", 1, 100)) for _ in statuses]
    for one, status in zip(packages, statuses, strict=True):
        one.status = status
    assert order_status(packages) == expected


@pytest.mark.parametrize(
    ("before", "codes", "status", "expected"),
    [
        ("pending", [], "label_created", "label_created"),
        ("label_created", [], "delivered", "delivered"),
        ("out_for_delivery", ["in_transit", "out_for_delivery"], "in_transit", "out_for_delivery"),
        ("delivered", ["delivered"], "in_transit", "delivered"),
        ("delivered", ["delivered"], "exception", "delivered"),
        ("delivered", ["delivered"], "returned", "returned"),
        ("returned", ["returned"], "delivered", "returned"),
        ("in_transit", ["in_transit"], "exception", "exception"),
        ("exception", ["in_transit", "exception"], "in_transit", "in_transit"),
        ("exception", ["in_transit", "exception"], "label_created", "exception"),
        ("exception", ["exception"], "delivered", "delivered"),
    ],
)
def test_tracking_never_goes_back(before: str, codes: list[str], status: str, expected: str) -> None:
    whole = package(line("a", 1, 100))
    known = parcel(whole, before, *codes)
    ship_units(whole, {"a": 1}, known)
    track(whole, told(known, status))
    assert whole.shipments[0].status == expected


def test_a_package_is_delivered_once_all_of_it_has_arrived() -> None:
    whole = package(line("a", 2, 100))
    first, second = parcel(whole), parcel(whole)
    ship_units(whole, {"a": 1}, first)
    assert not track(whole, told(first, "delivered"))
    assert whole.status == "partially_shipped"
    ship_units(whole, {"a": 1}, second)
    assert whole.status == "shipped"
    assert track(whole, told(second, "delivered"))
    assert not track(whole, told(whole.shipments[1], "delivered"))
    assert not track(whole, told(parcel(whole), "delivered"))  # a parcel of no package of ours


def test_what_only_came_back_was_not_delivered() -> None:
    whole = package(line("a", 2, 100))
    first, second = parcel(whole), parcel(whole)
    ship_units(whole, {"a": 1}, first)
    ship_units(whole, {"a": 1}, second)
    assert not track(whole, told(first, "returned"))
    assert whole.status == "shipped"
    assert track(whole, told(second, "delivered"))
    whole.status = "completed"
    assert not track(whole, told(whole.shipments[1], "returned"))
    assert whole.status == "completed"


class OrderMachine(RuleBasedStateMachine):
    """Ships, cancels and delivers in any order, and keeps books of its own."""

    @initialize(
        sizes=st.lists(
            st.lists(st.tuples(st.integers(1, 5), st.integers(0, 999)), min_size=1, max_size=3), max_size=3, min_size=1
        ),
        shipping=st.integers(0, 500),
    )
    def begin(self, sizes: list[list[tuple[int, int]]], shipping: int) -> None:
        self.packages = [
            package(
                *(line(f"{p}{n}", units, total) for n, (units, total) in enumerate(lines)), shipping=shipping, rate="0.0725"
            )
            for p, lines in enumerate(sizes)
        ]
        self.paid = [0] * len(sizes)  # captured, and what will never be
        self.commission = [0] * len(sizes)
        self.delivered: list[str] = []

    def _units(self, data: Any, one: Package) -> dict[str, int]:
        left = units_left([one])
        return {id_: count for id_, most in left.items() if (count := data.draw(st.integers(0, most)))}

    @rule(data=st.data())
    def ship(self, data: Any) -> None:
        index, one = self._pick(data)
        units = self._units(data, one)
        left, before = units_left([one]), remaining(self.packages, "EUR")
        if not units:
            return
        charge = ship_units(one, units, parcel(one))
        self.paid[index] += charge.amount.amount
        self.commission[index] += charge.commission.amount
        assert units_left([one]) == {id_: n - units.get(id_, 0) for id_, n in left.items() if n > units.get(id_, 0)}
        assert remaining(self.packages, "EUR") == before - charge.amount

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        index, one = self._pick(data)
        units = self._units(data, one)
        before = remaining(self.packages, "EUR")
        if not units:
            return
        status = one.status
        amount = cancel_units(one, units)
        self.paid[index] += amount.amount
        assert remaining(self.packages, "EUR") == before - amount
        if one.status == "delivered" != status:
            self.delivered.append(one.id)

    @rule(data=st.data(), more=st.integers(1, 3))
    def too_many(self, data: Any, more: int) -> None:
        _, one = self._pick(data)
        item = data.draw(st.sampled_from(one.items))
        with pytest.raises(NotPossible):
            cancel_units(one, {item.id: item.left + more})

    @precondition(lambda self: any(one.shipments for one in self.packages))
    @rule(data=st.data(), status=st.sampled_from([*TRACKING, "exception"]))
    def tell(self, data: Any, status: str) -> None:
        one = data.draw(st.sampled_from([one for one in self.packages if one.shipments]))
        known = data.draw(st.sampled_from(one.shipments))
        before = known.status
        if track(one, told(known, status)):
            self.delivered.append(one.id)
        after = next(shipment.status for shipment in one.shipments if shipment.id == known.id)
        if "exception" not in {before, after}:
            assert TRACKING.index(after) >= TRACKING.index(before)
        assert before not in {"delivered", "returned"} or after in {"delivered", "returned"}

    def _pick(self, data: Any) -> tuple[int, Package]:
        index = data.draw(st.integers(0, len(self.packages) - 1))
        return index, self.packages[index]

    @invariant()
    def sums_hold(self) -> None:
        rest = remaining(self.packages, "EUR").amount
        assert rest == sum(one.total.amount for one in self.packages) - sum(self.paid)
        for index, one in enumerate(self.packages):
            assert all(item.left >= 0 for item in one.items)
            assert one.captured.amount <= one.total.amount
            if not units_left([one]):
                assert self.paid[index] == one.total.amount
            if all(item.cancelled == item.quantity for item in one.items):
                assert one.captured == eur(0)
            if all(item.shipped == item.quantity for item in one.items):
                assert one.captured == one.total
                fees = [commission(item.subtotal, one.commission_rate).amount for item in one.items]
                assert self.commission[index] == sum(fees)

    @invariant()
    def statuses_hold(self) -> None:
        for one in self.packages:
            shipped = any(item.shipped for item in one.items)
            expected = (
                {"confirmed", "partially_shipped"}
                if units_left([one])
                else {"shipped", "delivered"}
                if shipped
                else {"cancelled"}
            )
            assert one.status in expected
            assert (one.status == "partially_shipped") == (shipped and bool(units_left([one])))
        assert len(self.delivered) == len(set(self.delivered))
        assert set(self.delivered) == {one.id for one in self.packages if one.status == "delivered"}
        going = [one.status for one in self.packages if one.status != "cancelled"]
        assert (order_status(self.packages) == "cancelled") == (not going)


TestOrderMachine = OrderMachine.TestCase
