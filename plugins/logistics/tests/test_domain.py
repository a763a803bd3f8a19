"""What a shipment's status is, whatever the order in which we hear of it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketplace_logistics.domain import PROGRESS, Shipment, TrackingEvent, take

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)


def _shipment(**changes: object) -> Shipment:
    fields = {
        "id": "s",
        "order_id": "o",
        "package_id": "p",
        "seller_id": "seller",
        "carrier": "simulator",
        "service": "standard",
        "own": False,
        "tracking_number": "T1",
        "tracking_token": "token",
        "items": {"line": 1},
        "origin_country": "DE",
        "address": {},
        "weight_g": 1,
        "created_at": START,
        "updated_at": START,
    }
    return Shipment(**(fields | changes))  # type: ignore[arg-type]


def _event(code: str, minute: int, location: str | None = None) -> TrackingEvent:
    return TrackingEvent(code, location, START + timedelta(minutes=minute))


def _status_after(*codes: str, **changes: object) -> str:
    shipment = _shipment(**changes)
    take(shipment, [_event(code, minute) for minute, code in enumerate(codes)], NOW)
    return shipment.status


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ((), "label_created"),
        (("in_transit",), "in_transit"),
        (("out_for_delivery", "in_transit"), "out_for_delivery"),
        (("in_transit", "out_for_delivery", "delivered"), "delivered"),
        (("in_transit", "exception"), "exception"),
        (("in_transit", "exception", "in_transit"), "in_transit"),
        (("out_for_delivery", "exception", "in_transit"), "out_for_delivery"),
        (("exception", "out_for_delivery"), "out_for_delivery"),
        (("delivered", "exception"), "delivered"),
        (("delivered", "in_transit"), "delivered"),
        (("delivered", "returned"), "returned"),
        (("returned", "delivered", "exception"), "returned"),
    ],
)
@pytest.mark.behaviour("logistics-2")
def test_the_status_is_as_far_as_the_furthest_event(codes: tuple[str, ...], status: str) -> None:
    assert _status_after(*codes) == status


def test_before_anything_has_happened() -> None:
    assert _status_after(tracking_number=None) == "pending"
    assert _status_after(tracking_number=None, own=True) == "label_created"
    assert _status_after(tracking_number=None, refusal="too heavy") == "exception"
    assert _status_after("in_transit", tracking_number=None, refusal="too heavy") == "in_transit"


def test_the_same_moment_written_in_two_ways_is_one_event() -> None:
    shipment = _shipment()
    take(shipment, [_event("in_transit", 0, "Berlin")], NOW)
    there = START.astimezone(timezone(timedelta(hours=2)))
    assert take(shipment, [TrackingEvent("in_transit", "Berlin", there)], NOW) == []
    assert take(shipment, [_event("in_transit", 0, "Hamburg")], NOW) == [_event("in_transit", 0, "Hamburg")]


def test_what_is_dated_ahead_does_not_stay_on_top() -> None:
    shipment, told = _shipment(), TrackingEvent("exception", None, datetime(2099, 1, 1, tzinfo=UTC))
    [heard] = take(shipment, [told], NOW)
    assert (heard.occurred_at, shipment.status) == (NOW, "exception")
    shipment.restore([*shipment.events])
    assert take(shipment, [told], NOW + timedelta(minutes=5)) == []  # told again, by the next poll
    later = TrackingEvent("in_transit", None, NOW + timedelta(minutes=9))
    take(shipment, [later], NOW + timedelta(minutes=10))
    assert (shipment.events[-1], shipment.status) == (later, "in_transit")
    soon = TrackingEvent("exception", None, NOW + timedelta(minutes=40))  # a clock that is ahead a little is believed
    assert take(shipment, [soon], NOW) == [soon]


EVENTS = st.builds(
    _event,
    st.sampled_from([*PROGRESS, "exception"]),
    st.integers(0, 5),
    st.sampled_from([None, "Berlin", "Hamburg"]),
)


@pytest.mark.behaviour("logistics-2")
@given(st.data(), st.lists(EVENTS, max_size=8))
def test_any_order_and_any_repeats_end_alike(data: st.DataObject, events: list[TrackingEvent]) -> None:
    expected = _shipment()
    take(expected, events, NOW)
    repeats = data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    told = data.draw(st.permutations(events + repeats))
    shipment = _shipment()
    new = take(shipment, [], NOW)
    for event in told:
        new += take(shipment, [event], NOW)
    assert (shipment.status, shipment.events) == (expected.status, expected.events)
    assert sorted(map(repr, new)) == sorted(map(repr, set(events)))
    times = [event.occurred_at for event in shipment.events]
    assert times == sorted(times)


@pytest.mark.behaviour("logistics-2")
@given(st.lists(EVENTS, max_size=10))
def test_progress_never_goes_back(events: list[TrackingEvent]) -> None:
    shipment = _shipment()
    seen = []
    for event in events:
        take(shipment, [event], NOW)
        seen.append(shipment.status)
    steps = [PROGRESS.index(status) for status in seen if status != "exception"]
    assert all(before <= after for before, after in itertools.pairwise(steps))
    for status in ("delivered", "returned"):
        if status in seen:
            assert set(seen[seen.index(status) :]) <= {"delivered", "returned"}
