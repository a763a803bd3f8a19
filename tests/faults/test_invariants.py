"""What is looked at after a fire is seen to fail: each mistake here is one that a marketplace could make."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.fire.deployment import Standing
from tests.faults.fire.errands import Errand, Purchase, deal
from tests.faults.fire.invariants import Truth, check_applied, check_charges, check_last, check_numbers, check_orders
from tests.faults.fire.market import check_found, check_reports, check_reviews
from tests.faults.fire.people import Written

PLACED = {"orders.placed"}


@pytest.fixture
def truth() -> Truth:
    return Truth(Standing(Path("none.toml"), Path("none")))


def purchase(order: str = "one", *, shipped: tuple[str, ...] = (), cancelled: bool = False, **errand: Any) -> Purchase:
    wanted = {"card": "tok_ok", "challenge": None, "scarce": False, "lines": ((0, 1),), "afterwards": "keep", **errand}
    made = Purchase(Errand(1, **wanted), "bea@example.org", order, total=500, packages={"p1": 300, "p2": 200})
    made.shipped, made.cancelled = shipped, cancelled
    return made


def told(status: str, code: str | None = None, number: str | None = None) -> Any:
    return {"status": status, "failure": code and {"code": code}, "number": number}


def row(kind: str, amount: int, reference: str = "one") -> Any:
    return {"kind": kind, "amount": {"amount": amount}, "reference": reference}


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_good_orders_are_good(truth: Truth) -> None:
    declined = purchase("two", card="tok_declined")
    check_orders(
        truth,
        {"one": purchase(), "two": declined},
        {"one": told("confirmed"), "two": told("failed", "payments.declined")},
    )
    assert truth.broken == [] and truth.lost == set()


@pytest.mark.parametrize(
    "orders", [{}, {"one": told("pending")}, {"one": told("failed", "payments.declined")}], ids=["gone", "stuck", "failed"]
)
def test_an_order_that_is_lost_is_noticed(truth: Truth, orders: dict[str, Any]) -> None:
    check_orders(truth, {"one": purchase()}, orders)
    assert truth.lost == {"one"} and truth.broken


def test_an_order_placed_twice_is_noticed(truth: Truth) -> None:
    check_orders(truth, {"one": purchase()}, {"one": told("confirmed"), "again": told("confirmed")})
    assert truth.repeated == {"again"} and truth.broken


@pytest.mark.parametrize("numbers", ["13", "122", "234"], ids=["gap", "twice", "from 2"])
def test_a_wrong_row_of_numbers_is_noticed(truth: Truth, numbers: str) -> None:
    check_numbers(truth, [told("confirmed", number=number) for number in numbers])
    assert truth.broken


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────

GOOD_BOOKS: dict[str, tuple[Callable[[], Purchase], Any, list[Any]]] = {
    "kept": (purchase, told("confirmed"), [row("authorize", 500)]),
    "shipped": (
        lambda: purchase(shipped=("p1", "p2")),
        told("delivered"),
        [row("authorize", 500), row("capture", 200), row("capture", 300)],
    ),
    "cancelled": (lambda: purchase(cancelled=True), told("cancelled"), [row("authorize", 500), row("void", 500)]),
    "declined": (lambda: purchase(card="tok_declined"), told("failed", "payments.declined"), []),
}


@pytest.mark.parametrize("name", GOOD_BOOKS)
def test_good_books_are_good_and_every_other_one_is_not(truth: Truth, name: str) -> None:
    make, order, rows = GOOD_BOOKS[name]
    check_charges(truth, {"one": make()}, {"one": order}, rows)
    assert truth.broken == [] and truth.charged_twice == set()
    for other in GOOD_BOOKS.keys() - {name}:
        wrong = Truth(truth.standing)
        check_charges(wrong, {"one": make()}, {"one": order}, GOOD_BOOKS[other][2])
        assert wrong.broken, other


@pytest.mark.parametrize(
    "rows",
    [
        [row("authorize", 500), row("authorize", 500)],
        [row("authorize", 500), row("capture", 300), row("capture", 300)],
        [row("authorize", 500), row("authorize", 500, "stranger")],
    ],
    ids=["authorized twice", "captured above", "nobody's"],
)
def test_who_is_charged_twice_is_noticed(truth: Truth, rows: list[Any]) -> None:
    check_charges(truth, {"one": purchase(shipped=("p1",))}, {"one": told("confirmed")}, rows)
    assert truth.charged_twice and truth.broken


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


def applied(truth: Truth, got: list[int]) -> None:
    events = [(1, "orders.placed"), (2, "orders.confirmed"), (3, "orders.placed"), (4, "orders.placed")]
    check_applied(
        truth, "cart.on_order", PLACED.__contains__, {("orders", "o1", "w"): events}, {("cart.on_order", "orders:o1", "w"): got}
    )


def test_a_handler_applies_what_is_for_it(truth: Truth) -> None:
    applied(truth, [1, 3, 4])
    assert truth.broken == []


def test_a_skipped_event_is_lost(truth: Truth) -> None:
    applied(truth, [1, 4])
    assert truth.lost and truth.broken


def test_an_event_applied_again_is_repeated(truth: Truth) -> None:
    applied(truth, [1, 3, 3, 4])
    assert truth.repeated and truth.broken and not truth.lost


def test_events_out_of_order_are_noticed(truth: Truth) -> None:
    applied(truth, [1, 4, 3])
    assert truth.broken


# ── the load ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_small_load_has_every_kind_of_errand_by_its_seed() -> None:
    dealt = deal(60, 6, random.Random(3))
    assert dealt == deal(60, 6, random.Random(3)) != deal(60, 6, random.Random(4))
    assert {errand.challenge for errand in dealt} == {None, "succeed", "fail", "ignore"}
    assert {errand.afterwards for errand in dealt} == {"keep", "cancel", "deliver"}
    assert any(errand.scarce for errand in dealt) and any(errand.card == "tok_timeout" for errand in dealt)


@pytest.mark.parametrize("got", [[], [3]], ids=["never heard", "not to the end"])
def test_a_handler_that_has_not_come_to_the_last_event_is_noticed(truth: Truth, got: list[int]) -> None:
    events = [
        (1, "orders.placed"),
        (2, "orders.confirmed"),
        (3, "orders.placed"),
        (4, "orders.placed"),
        (5, "orders.confirmed"),
    ]
    for seen, good in (([4], True), (got, False)):
        one = Truth(truth.standing)
        check_last(
            one,
            "reviews.on_order",
            PLACED.__contains__,
            {("orders", "o1", "w"): events},
            {("reviews.on_order", "orders:o1", "w"): seen},
        )
        assert (one.broken == [], one.lost == set()) == (good, good)


# ── the market ───────────────────────────────────────────────────────────────────────────────────────────────

REVIEWS = [Written("r1", "kettle", 4), Written("r2", "kettle", 5), Written("r3", "lamp", 1)]


@pytest.mark.parametrize(
    ("shown", "told", "lost", "repeated"),
    [
        (["r1", "r2", "r3"], {"kettle": 2, "lamp": 1}, set(), set()),
        (["r1", "r3"], {"kettle": 2, "lamp": 1}, {"r2"}, set()),
        (["r1", "r2", "r2", "r3"], {"kettle": 2, "lamp": 1}, set(), {"r2"}),
        (["r1", "r2", "r3", "r4"], {"kettle": 2, "lamp": 1}, set(), {"r4"}),
        (["r1", "r2", "r3"], {"kettle": 3, "lamp": 1}, set(), set()),
        (["r1", "r2", "r3"], {"kettle": 2}, set(), set()),
    ],
    ids=["good", "lost", "shown twice", "nobody's", "stars counted twice", "stars not counted"],
)
def test_reviews_that_are_not_those_that_were_written_are_noticed(
    truth: Truth, shown: list[str], told: dict[str, int], lost: set[str], repeated: set[str], request: pytest.FixtureRequest
) -> None:
    check_reviews(truth, REVIEWS, shown, told)
    assert (truth.lost, truth.repeated) == (lost, repeated)
    assert bool(truth.broken) is ("good" not in request.node.callspec.id)


@pytest.mark.parametrize("hits", [["a"], ["a", "b", "b"]], ids=["not found", "found twice"])
def test_a_product_that_is_not_found_once_is_noticed(truth: Truth, hits: list[str]) -> None:
    check_found(truth, {"a", "b"}, ["b", "a"])
    assert truth.broken == []
    check_found(truth, {"a", "b"}, hits)
    assert truth.broken


@pytest.mark.parametrize("told", [{"kettle": 1}, {"kettle": 3}, {}], ids=["lost", "twice", "nothing"])
def test_a_report_that_counts_otherwise_is_noticed(truth: Truth, told: dict[str, int]) -> None:
    check_reports(truth, {"kettle": 2}, {"kettle": 2})
    assert truth.broken == []
    check_reports(truth, {"kettle": 2}, told)
    assert truth.broken and (truth.lost or truth.repeated)
