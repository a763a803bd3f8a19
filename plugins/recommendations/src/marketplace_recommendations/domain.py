"""Rules of what is shown: how much a signal counts, how a feed is put together, how lists are mixed. Pure."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import NamedTuple

__all__ = [
    "RECENCY",
    "WEIGHTS",
    "Alike",
    "Mix",
    "Neighbour",
    "Pick",
    "Placed",
    "believed",
    "compose",
    "heat",
    "ranked",
    "unique",
]

#: What a signal counts for how popular a product is. What was shown to somebody is known, and counts nothing.
WEIGHTS: Mapping[str, float] = {"impression": 0.0, "view": 1.0, "click": 1.0, "cart": 3.0, "purchase": 8.0}
#: What an action counts of the one after it, until a model has been trained that says so.
RECENCY = 0.6
#: Among so many that follow each other a list is mixed.
WINDOW = 10
#: A feed has one new product for so many that are popular.
POPULAR_EACH = 2


class Mix(NamedTuple):
    """How many of one seller, and of one category, may be among any ten."""

    per_seller: int
    per_category: int


class Placed(NamedTuple):
    """A product that can be bought. ``heat``: see :func:`heat`, None where nobody has looked at it; ``since``: Unix seconds."""

    id: str
    seller_id: str
    category_id: str | None
    heat: float | None
    since: float


class Neighbour(NamedTuple):
    """A product like another. ``together``: they were bought together."""

    id: str
    score: float
    together: bool


class Alike(NamedTuple):
    """What is like products, by the model: of each the best first; and what an action counts of the one after it."""

    rows: Mapping[str, Sequence[Neighbour]]
    recency: float = RECENCY


class Pick(NamedTuple):
    """A product for a list, its score, the code of its reason, and the product that it follows from."""

    id: str
    score: float
    code: str
    because: str | None


def believed(at: datetime | None, now: datetime, most: float) -> datetime:
    """A client's clock is believed within ``most`` seconds before now."""
    if at is None or not 0 <= (now - at).total_seconds() <= most:
        return now
    return at


def heat(weight: float, at: float, half_life: float) -> float:
    """A signal's weight as the binary logarithm of what it will ever count, decay included, so that sums need no clock.

    ``at`` and ``half_life`` in seconds. A signal one half-life later has one more.
    """
    return math.log2(weight) + at / half_life


# ── mixing ───────────────────────────────────────────────────────────────────────────────────────────────────


def mixed(products: Iterable[Placed], mix: Mix, *, apart: bool = False) -> Iterator[Placed]:
    """In their order, but that one waits while too many of its seller or its category stand before it; if all that are left
    would have to wait, one of the seller and the category that have the fewest there is next.

    ``apart``: nor does one follow on another of its seller, as long as there is one of somebody else's that need not wait.
    """
    waiting, window = list(products), deque[Placed](maxlen=WINDOW - 1)
    sellers, categories = Counter[str](), Counter[str | None]()
    while waiting:
        fitting = [
            n
            for n, each in enumerate(waiting)
            if sellers[each.seller_id] < mix.per_seller
            and (each.category_id is None or categories[each.category_id] < mix.per_category)
        ]
        if fitting:
            last = window[-1].seller_id if apart and window else None
            place = next((n for n in fitting if waiting[n].seller_id != last), fitting[0])
        else:
            fewest = [(sellers[each.seller_id], categories[each.category_id]) for each in waiting]
            place = fewest.index(min(fewest))
        chosen = waiting.pop(place)
        if len(window) == window.maxlen:
            sellers[window[0].seller_id] -= 1
            categories[window[0].category_id] -= 1
        window.append(chosen)
        sellers[chosen.seller_id] += 1
        categories[chosen.category_id] += 1
        yield chosen


def unique(ids: Iterable[str], without: Collection[str] = ()) -> list[str]:
    """Each once, in their order."""
    return [id_ for id_ in dict.fromkeys(ids) if id_ not in without]


# ── the feed ─────────────────────────────────────────────────────────────────────────────────────────────────


def compose(
    products: Sequence[Placed], ancestors: Mapping[str, Sequence[str]], length: int, mix: Mix
) -> dict[str | None, list[tuple[str, str]]]:
    """Feeds by the id of their category, None for everything: the product's id and the code of its reason, in order.

    ``ancestors``: of each category, itself and all above it; one that is not there has no feed.
    """
    within: dict[str | None, list[Placed]] = {None: list(products)} | {each: [] for each in ancestors}
    for product in products:
        for category in ancestors.get(product.category_id or "", ()):
            within[category].append(product)
    return {category: _feed(inside, length, mix, wide=category is None) for category, inside in within.items()}


def _feed(products: Sequence[Placed], length: int, mix: Mix, *, wide: bool) -> list[tuple[str, str]]:
    """Two that are popular, one that is new. In the feed of a category there are not so many others to mix with."""
    known = sorted((each for each in products if each.heat is not None), key=lambda each: (-(each.heat or 0), each.id))
    new = sorted(products, key=lambda each: (-each.since, each.id))
    by_id = {each.id: each for each in products}
    codes: dict[str, str] = {}
    pairs = [known[n : n + POPULAR_EACH] for n in range(0, len(known), POPULAR_EACH)]
    for popular, fresh in zip_longest(pairs, new, fillvalue=None):
        for each in popular or ():
            codes.setdefault(each.id, "popular")
        if fresh is not None:
            codes.setdefault(fresh.id, "new")
    first = [by_id[id_] for id_ in list(codes)[:length]]
    narrow = Mix(mix.per_seller, WINDOW)
    return [(each.id, codes[each.id]) for each in mixed(first, mix if wide else narrow, apart=True)]


# ── what is for a person ─────────────────────────────────────────────────────────────────────────────────────


def ranked(history: Sequence[str], like: Alike, *, named: bool = True) -> list[Pick]:
    """What is like the ``history``, its last action first, the best first.

    A score is the sum over the history; a product follows from what gives it most. ``named``: what follows from the history
    without having been bought together says so; else it is just similar.
    """
    sums: dict[str, float] = {}
    best: dict[str, tuple[float, str, bool]] = {}
    for place, product in enumerate(history):
        for neighbour in like.rows.get(product, ()):
            part = like.recency**place * neighbour.score
            sums[neighbour.id] = sums.get(neighbour.id, 0.0) + part
            if part > best.get(neighbour.id, (0.0,))[0]:
                best[neighbour.id] = part, product, neighbour.together
    other = "history" if named else "similar"
    picks = [Pick(id_, score, "bought_together" if best[id_][2] else other, best[id_][1]) for id_, score in sums.items()]
    return sorted(picks, key=lambda pick: (-pick.score, pick.id))
