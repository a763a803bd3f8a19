"""Rules of reviews, and that a tally kept up by differences is always what counting anew would give."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketplace_reviews import domain
from marketplace_reviews.domain import Line, NotPossible, Reply, Review, Tally, difference

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINE = Line("i", "o", "ada", "pot", "kettle", "p", NOW)


def review(**fields: object) -> Review:
    given_ = {"rating": 4, "title": "", "text": "", "created_at": NOW} | fields
    return Review("r", "pot", "kettle", "ada", "i", "Ada L.", **given_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (None, "reviews.not_delivered"),
        (Line("i", "o", "bob", "pot", "kettle", "p", NOW), "reviews.not_delivered"),
        (Line("i", "o", "ada", "lamp", "kettle", "p", NOW), "reviews.not_delivered"),
        (Line("i", "o", "ada", "pot", "kettle", "p", None), "reviews.not_delivered"),
        (Line("i", "o", "bob", "pot", "kettle", "p", NOW, review_id="r"), "reviews.not_delivered"),
        (Line("i", "o", "ada", "pot", "kettle", "p", NOW, review_id="r"), "reviews.already_written"),
    ],
)
def test_who_may_not_write(line: Line | None, code: str) -> None:
    with pytest.raises(NotPossible) as refused:
        domain.check_line(line, "ada", "pot")
    assert refused.value.code == code
    assert domain.check_line(LINE, "ada", "pot") is LINE


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Ada Lovelace", "Ada L."), ("Ada", "Ada"), ("  ada  king of lovelace ", "ada L."), ("", "?"), ("ŁAda Ślązak", "ŁAda Ś.")],
)
def test_others_see_the_first_name_and_a_letter(name: str, shown: str) -> None:
    assert domain.shown_name(name) == shown


def test_a_decision_is_about_one_version() -> None:
    one = review(version=2, status="pending")
    assert not domain.decide(one, 1, approved=False, reason_code="abuse") and one.status == "pending"
    assert domain.decide(one, 2, approved=False, reason_code="abuse") and (one.counted, one.reason_code) == (None, "abuse")
    assert not domain.decide(one, 2, approved=False, reason_code="abuse"), "as it was"
    assert domain.decide(one, 2, approved=True, reason_code=None) and (one.counted, one.reason_code) == (4, None)
    assert not domain.decide_reply(one, approved=False), "there is none"
    one.reply = Reply("Thank you!", NOW, "pending")
    assert domain.decide_reply(one, approved=True) and not domain.decide_reply(one, approved=True)


RATINGS = st.none() | st.integers(1, 5)


@pytest.mark.behaviour("reviews-2")
@given(st.lists(st.tuples(st.integers(0, 5), RATINGS), max_size=40))
def test_differences_add_up_to_what_there_is(changes: list[tuple[int, int | None]]) -> None:
    """``changes``: which review, and how it counts from then on: written, edited, hidden, deleted."""
    known: dict[int, int | None] = {}
    tally = Tally()
    for which, rating in changes:
        added = difference(known.get(which), rating)
        tally = Tally(tuple(map(sum, zip(tally.counts, added, strict=True))))
        known[which] = rating
        ratings = [one for one in known.values() if one is not None]
        assert tally.histogram == {str(stars): ratings.count(stars) for stars in range(1, 6)}
        assert (tally.count, tally.total) == (len(ratings), sum(ratings))
        assert tally.average == (round(sum(ratings) / len(ratings), 2) if ratings else None)


@given(st.tuples(*[st.integers(0, 1000)] * 5), st.floats(1, 5), st.integers(0, 100))
def test_the_score_is_between_the_mean_and_the_prior(counts: tuple[int, ...], prior: float, weight: int) -> None:
    tally = Tally(counts)
    mean = tally.total / tally.count if tally.count else prior
    assert min(mean, prior) - 0.0001 <= tally.score(prior, weight) <= max(mean, prior) + 0.0001
