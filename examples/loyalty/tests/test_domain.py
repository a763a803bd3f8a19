"""What counts and what it earns, whatever is heard in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketplace_loyalty.config import LoyaltyConfig, TierConfig
from marketplace_loyalty.domain import Ladder, Purchase, Tier, part

from marketplace_core.values import Money

SILVER, GOLD = Tier("Silver", 5, {"EUR": 2000}), Tier("Gold", 10, {"EUR": 50_000, "USD": 60_000})
LADDER = Ladder([SILVER, GOLD])


@pytest.mark.parametrize(
    ("spent", "reached", "following", "missing"),
    [
        (Money(0, "EUR"), None, SILVER, 2000),
        (Money(1999, "EUR"), None, SILVER, 1),
        (Money(2000, "EUR"), SILVER, GOLD, 48_000),
        (Money(50_000, "EUR"), GOLD, None, None),
        (Money(59_999, "USD"), None, GOLD, 1),
        (Money(10**9, "SEK"), None, None, None),
    ],
)
def test_tiers(spent: Money, reached: Tier | None, following: Tier | None, missing: int | None) -> None:
    assert (LADDER.reached(spent), LADDER.following(spent)) == (reached, following)
    assert following is None or LADDER.missing(following, spent) == missing


def test_a_part_is_rounded_half_even() -> None:
    assert [part(Money(amount, "EUR"), 5).amount for amount in (10, 30, 50, 999)] == [0, 2, 2, 50]


def _confirm(purchase: Purchase) -> None:
    purchase.confirm("ada", "EUR")


ORDERS = [
    _confirm,
    lambda purchase: purchase.send("one", "p", 700),
    lambda purchase: purchase.send("two", "p", 300),
    lambda purchase: purchase.send("three", "q", 50),
    lambda purchase: purchase.receive("p"),
]


@given(st.integers(0, len(ORDERS)))
def test_only_what_has_arrived_and_stays_counts(when: int) -> None:
    """The parcel ``two`` comes back, heard of at any moment; the sum is right at the end, and never counted twice."""
    purchase, total = Purchase(), 0
    steps = [*ORDERS[:when], lambda purchase: purchase.take_back("two"), *ORDERS[when:]]
    for step in steps:
        step(purchase)
        total += purchase.count()
        assert total == purchase.counted
    assert total == 700
    assert purchase.count() == 0


def test_tiers_must_rise() -> None:
    low, high = TierConfig("low", 5, {"EUR": 100}), TierConfig("high", 10, {"EUR": 200})
    assert LoyaltyConfig((low, high)).tiers == (low, high)
    for wrong in ((high, low), (low, low), (low, TierConfig("other", 10, {"EUR": 100}))):
        with pytest.raises(ValueError, match="must ask and give more than"):
            LoyaltyConfig(wrong)
