"""The rules alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketplace_payments.domain import (
    Operation,
    Payment,
    Seen,
    is_known,
    left_to_capture,
    left_to_release,
    new_operation,
    observe,
    settlement_failure,
    wrong_amount,
)

from marketplace_core.values import Money

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def payment(**more: Any) -> Payment:
    fields: dict[str, Any] = {
        "id": "p",
        "order_id": "o",
        "account_id": None,
        "gateway": "g",
        "amount": eur(1000),
        "status": "pending",
        **{name: eur(0) for name in ("authorized", "captured", "voided", "refunded")},
        "expires_at": LATER,
        "created_at": NOW,
        "updated_at": NOW,
        "method": {"token": "secret"},
    }
    return Payment(**{**fields, **more})


def seen(status: str, authorized: int = 0, captured: int = 0, voided: int = 0, refunded: int = 0, **more: Any) -> Seen:
    fields = {"action_url": None, "action_expires_at": None, "failure": None, **more}
    return Seen("g1", status, eur(authorized), eur(captured), eur(voided), eur(refunded), **fields)


def operation(kind: Any, amount: int, status: Any = "pending", attempts: int = 0) -> Operation:
    made = new_operation(payment(), kind, eur(amount), f"{kind}/{amount}", NOW)
    made.status, made.attempts = status, attempts
    return made


@st.composite
def histories(draw: st.DrawFn) -> list[Seen]:
    """All that a gateway says of a payment in the order in which it happens."""
    found = [seen("requires_action", action_url="u", action_expires_at=LATER)] if draw(st.booleans()) else []
    if draw(st.integers(0, 3)) == 0:
        return [*found, seen("failed", failure="payments.declined")]
    authorized, captured, voided, refunded = 1000, 0, 0, 0
    found.append(seen("authorized", 1000))
    for _ in range(draw(st.integers(0, 5))):
        left, back = authorized - captured - voided, captured - refunded
        act = draw(st.sampled_from(["capture", "void", "refund"]))
        if act == "capture" and left:
            captured += draw(st.integers(1, left))
        elif act == "void" and left:
            voided += left
        elif act == "refund" and back:
            refunded += draw(st.integers(1, back))
        found.append(seen("whatever", authorized, captured, voided, refunded))
    return found


@pytest.mark.behaviour("payments-2")
@settings(derandomize=True)
@given(history=histories(), data=st.data())
def test_late_repeated_and_reordered_words_end_the_same(history: list[Seen], data: st.DataObject) -> None:
    order = data.draw(st.permutations([*history, *data.draw(st.lists(st.sampled_from(history), max_size=4))]))
    mixed, last = payment(), payment()
    settled = 0
    for word in order:
        before = mixed.status
        observe(mixed, word)
        settled += settlement_failure(before, mixed)[0]
    observe(last, history[-1])
    # One that was released before we heard of it has failed for whoever waited; no money is held in either case.
    assert mixed.status == last.status or {mixed.status, last.status} == {"failed", "voided"}
    assert (mixed.held, mixed.captured, mixed.refunded) == (last.held, last.captured, last.refunded)
    assert settled <= 1
    assert mixed.method is None
    assert (mixed.action_url is not None) == (mixed.status == "requires_action")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (seen("authorized", 1000), "authorized"),
        (seen("authorized", 1000, 400), "partially_captured"),
        (seen("authorized", 1000, 1000), "captured"),
        (seen("authorized", 1000, 400, 600), "captured"),
        (seen("authorized", 1000, 0, 1000), "voided"),
        (seen("voided"), "voided"),
        (seen("authorized", 1000, 400, 600, 100), "partially_refunded"),
        (seen("authorized", 1000, 400, 600, 400), "refunded"),
        (seen("authorized", 1000, 400, 0, 400), "partially_refunded"),
        (seen("failed"), "failed"),
    ],
)
def test_status_follows_from_the_totals(word: Seen, status: str) -> None:
    found = payment()
    observe(found, word)
    assert found.status == status
    assert found.failure == ("payments.declined" if status == "failed" else None)


def test_an_end_is_never_left() -> None:
    found = payment(status="voided", unwanted=True)
    observe(found, seen("authorized", 1000))
    assert (found.status, found.held) == ("voided", 1000)


def test_who_waits_hears_once() -> None:
    found = payment()
    observe(found, seen("requires_action", action_url="u", action_expires_at=LATER + timedelta(hours=1)))
    assert (found.action_url, found.action_expires_at) == ("u", LATER)
    assert settlement_failure("pending", found) == (False, None)
    observe(found, seen("voided"))
    assert settlement_failure("requires_action", found) == (True, "payments.action_expired")
    assert settlement_failure(found.status, found) == (False, None)


@pytest.mark.behaviour("payments-5")
def test_what_is_left() -> None:
    found = payment(status="authorized", authorized=eur(1000))
    assert left_to_capture(found, [operation("capture", 300), operation("capture", 200, "done")]) == 500
    above, refused = operation("capture", 900, "failed"), operation("capture", 900, "failed", attempts=1)
    assert (left_to_capture(found, [above]), left_to_capture(found, [refused])) == (1000, 100)
    assert left_to_release(found, [operation("void", 1000)]) == 0
    assert left_to_release(found, [operation("capture", 300)]) == 700


@pytest.mark.parametrize(
    ("step", "amount", "right"),
    [
        ("authorized", eur(1000), True),
        ("authorized", eur(1), False),
        ("authorized", Money(1000, "USD"), False),
        ("failed", None, True),
        ("captured", eur(300), True),
        ("captured", eur(1000), False),
        ("voided", eur(0), True),
        ("voided", eur(700), True),
        ("voided", eur(1000), True),
        ("voided", eur(699), False),
        ("refunded", eur(300), False),
    ],
)
def test_the_money_of_a_webhook(step: str, amount: Money | None, right: bool) -> None:
    known = [operation("capture", 300), operation("void", 700)]
    assert (wrong_amount(payment(), known, step, amount) is None) == right


@pytest.mark.parametrize(
    ("before", "step", "amount", "known"),
    [
        ({}, "authorized", 1000, True),  # our own call is under way
        ({}, "failed", None, True),
        ({}, "authorized", 999, False),
        ({}, "captured", 1000, False),
        ({"unanswered": True}, "authorized", 1000, False),
        ({"status": "requires_action"}, "authorized", 1000, False),
        ({"status": "requires_action"}, "failed", 1000, False),
        ({"status": "authorized", "authorized": eur(1000)}, "authorized", 1000, True),
        ({"status": "captured", "authorized": eur(1000)}, "authorized", None, True),
        ({"status": "authorized", "authorized": eur(1000)}, "authorized", 999, False),
        ({"status": "authorized", "authorized": eur(1000)}, "voided", 1000, False),
        ({"status": "failed"}, "authorized", 1000, False),  # what should not be, and is asked about
    ],
)
def test_what_a_webhook_tells_that_the_answer_does_not(
    before: dict[str, Any], step: str, amount: int | None, known: bool
) -> None:
    assert is_known(payment(**before), step, None if amount is None else eur(amount)) == known
