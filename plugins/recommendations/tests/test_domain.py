"""Rules of what is shown, without any server."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from marketplace_recommendations.domain import Alike, Mix, Neighbour, Placed, believed, compose, heat, mixed, ranked, unique

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY = 86400.0


def placed(
    id_: str, seller: str = "s", category: str | None = None, *, warm: float | None = None, since: float = 0.0
) -> Placed:
    return Placed(id_, seller, category, warm, since)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, NOW),
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1)),
        (NOW + timedelta(seconds=1), NOW),
        (NOW - timedelta(days=2), NOW),
        (datetime(1, 1, 1, tzinfo=UTC), NOW),
    ],
)
def test_a_clients_clock_is_believed_within_a_day(at: datetime | None, expected: datetime) -> None:
    assert believed(at, NOW, DAY) == expected


def test_a_signal_counts_half_after_a_half_life() -> None:
    """Sums of weights are compared without a clock: two of a week ago are one of now."""
    now = NOW.timestamp()
    assert heat(1.0, now, 7 * DAY) == pytest.approx(heat(2.0, now - 7 * DAY, 7 * DAY))
    assert heat(8.0, now, 7 * DAY) == pytest.approx(3.0 + now / (7 * DAY))


def test_one_seller_does_not_fill_a_page() -> None:
    products = [placed(f"a{n}", "a") for n in range(20)] + [placed(f"{s}{n}", s) for s in "bcd" for n in range(5)]
    order = list(mixed(products, Mix(3, 10)))
    assert {each.id for each in order} == {each.id for each in products}
    assert [each.id for each in order][:3] == ["a0", "a1", "a2"]
    apart = list(mixed(products, Mix(3, 10), apart=True))
    assert [each.id for each in apart][:4] == ["a0", "b0", "a1", "b1"]
    for start in range(6):
        window = [each.seller_id for each in order[start : start + 10]]
        assert max(window.count(seller) for seller in "abcd") <= 3
    only = [placed(f"a{n}", "a") for n in range(5)]
    assert list(mixed(only, Mix(1, 1))) == only


def test_categories_are_mixed_too_and_what_has_none_is_in_nobodys_way() -> None:
    products = [placed(f"x{n}", f"s{n}", "x") for n in range(6)] + [placed(f"n{n}", f"t{n}") for n in range(6)]
    order = [each.category_id for each in mixed(products, Mix(10, 2))]
    assert order[:8].count("x") == 2


def test_a_feed_has_what_is_popular_and_what_is_new() -> None:
    popular = [placed(f"p{n}", f"s{n}", warm=100.0 - n, since=n) for n in range(8)]
    new = [placed(f"n{n}", f"t{n}", since=1000.0 - n) for n in range(4)]
    feed = compose([*new, *popular], {}, 6, Mix(10, 10))[None]
    assert feed == [("p0", "popular"), ("p1", "popular"), ("n0", "new"), ("p2", "popular"), ("p3", "popular"), ("n1", "new")]
    assert compose([], {"c": ["c"]}, 6, Mix(1, 1)) == {None: [], "c": []}


def test_a_category_has_all_below_it() -> None:
    ancestors = {"top": ["top"], "below": ["top", "below"], "empty": ["empty"]}
    products = [placed("1", category="below"), placed("2", category="top"), placed("3", category="gone"), placed("4")]
    found = {category: {id_ for id_, _ in feed} for category, feed in compose(products, ancestors, 10, Mix(10, 10)).items()}
    assert found == {None: {"1", "2", "3", "4"}, "top": {"1", "2"}, "below": {"1"}, "empty": set()}


def test_the_last_action_counts_most_and_gives_the_reason() -> None:
    rows = {"now": [Neighbour("x", 1.0, True), Neighbour("y", 0.2, False)], "before": [Neighbour("y", 1.0, False)]}
    like = Alike(rows, 0.5)
    picks = ranked(["now", "before"], like)
    assert [(pick.id, pick.code, pick.because) for pick in picks] == [
        ("x", "bought_together", "now"),
        ("y", "history", "before"),
    ]
    assert picks[1].score == pytest.approx(0.2 + 0.5)
    assert [pick.code for pick in ranked(["before"], like, named=False)] == ["similar"]
    assert ranked([], like) == ranked(["unknown"], like) == []


def test_each_once_in_order() -> None:
    assert unique("abcab", "b") == ["a", "c"]
    assert math.isclose(heat(1.0, 0.0, 1.0), 0.0)
