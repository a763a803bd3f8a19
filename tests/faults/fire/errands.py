"""What the people of a run are sent for, dealt by a seed: how they pay, and what becomes of the order afterwards."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

__all__ = ["Errand", "Purchase", "deal", "plain"]

Challenge = Literal["succeed", "fail", "ignore"]
Afterwards = Literal["keep", "cancel", "deliver"]

#: (card, what its holder does when asked, whether it is for the product that is scarce): how often of 60.
_CARDS: dict[tuple[str, Challenge | None, bool], int] = {
    ("tok_ok", None, False): 33,
    ("tok_declined", None, False): 5,
    ("tok_3ds", "succeed", False): 4,
    ("tok_3ds", "fail", False): 2,
    ("tok_3ds", "ignore", False): 1,
    ("tok_slow", None, False): 3,
    ("tok_timeout", None, False): 1,
    ("tok_twice", None, False): 6,
    ("tok_ok", None, True): 5,
}
_AFTERWARDS: dict[Afterwards, int] = {"keep": 5, "cancel": 2, "deliver": 3}


@dataclass(frozen=True)
class Errand:
    """``lines``: which of the products on offer, and how many of each. ``scarce``: of the one that there is too little of."""

    number: int
    card: str
    challenge: Challenge | None
    scarce: bool
    lines: tuple[tuple[int, int], ...]
    afterwards: Afterwards


@dataclass
class Purchase:
    """What came of an errand. Times are of the monotonic clock; amounts in minor units.

    ``order``: None, it was not accepted, and ``refused`` says why. ``packages``: the total of each, by its
    id; ``sellers``: of whom they are. ``carts_left``: lines that were in the cart of a confirmed order.
    """

    errand: Errand
    email: str
    order: str | None = None
    refused: str | None = None
    asked_at: float = 0.0
    confirmed_at: float | None = None
    total: int = 0
    packages: dict[str, int] | None = None
    sellers: tuple[str, ...] = ()
    bought: dict[str, int] | None = None
    cancelled: bool = False
    shipped: tuple[str, ...] = ()
    carts_left: int = 0

    @property
    def expected(self) -> tuple[str, str | None]:
        """The status in which its order ends, and the code of its failure."""
        if self.errand.card == "tok_declined":
            return "failed", "payments.declined"
        if self.errand.challenge == "fail":
            return "failed", "payments.authentication_failed"
        if self.errand.challenge == "ignore":
            return "failed", "payments.action_expired"
        if self.cancelled:
            return "cancelled", None
        return ("delivered" if self.shipped else "confirmed"), None


def deal(count: int, products: int, chance: random.Random) -> list[Errand]:
    """``count`` errands, each kind about as often as the tables say and in small runs too."""
    cards: list[tuple[str, Challenge | None, bool]] = []
    while len(cards) < count:
        deck = [card for card, often in _CARDS.items() for _ in range(often)]
        chance.shuffle(deck)
        cards += deck
    endings: list[Afterwards] = []
    while len(endings) < count:
        round_ = [ending for ending, often in _AFTERWARDS.items() for _ in range(often)]
        chance.shuffle(round_)
        endings += round_
    return [
        Errand(number, *cards[number], _lines(cards[number][2], products, chance), endings[number]) for number in range(count)
    ]


def plain(number: int) -> Errand:
    """An errand without anything particular."""
    return Errand(number, "tok_ok", None, False, ((0, 1),), "keep")


def _lines(scarce: bool, products: int, chance: random.Random) -> tuple[tuple[int, int], ...]:
    if scarce:
        return ((products, 2),)
    chosen = chance.sample(range(products), chance.choice([1, 1, 2, 3]))
    return tuple((product, chance.randint(1, 3)) for product in chosen)
