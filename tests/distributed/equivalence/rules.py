"""All that may differ between two deployments that are asked the same. What is not named here is equal to the byte."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

__all__ = ["CHANCE", "HEADERS", "NUMBERS", "PRESENT", "SLUGS", "order_of"]

#: Headers that are part of the interface.
HEADERS = (
    "Location",
    "Allow",
    "Cache-Control",
    "Content-Disposition",
    "Content-Type",
    "ETag",
    "Idempotent-Replayed",
    "Retry-After",
    "WWW-Authenticate",
)
#: Of these only whether they are there: how long to wait depends on when one asks.
PRESENT = frozenset({"Retry-After"})

#: Fields and headers whose values are made by chance, whatever they look like: they are the same one by one, as ids are.
CHANCE = frozenset(
    {
        "access_token",
        "device_token",
        "ETag",
        "gateway_id",
        "last4",
        "next",
        "refresh_token",
        "token",
        "tracking_number",
        "tracking_token",
    }
)

#: Where others order, too, numbers are those that are left.
NUMBERS = frozenset({"number", "order_number"})

#: What begins with words that are the same, and ends as an id does.
SLUGS = frozenset({"slug"})

Symbol = Callable[[int, str], str | None]
Both = tuple[list[Any], list[Any]]
Order = Callable[[list[Any], list[Any], Symbol, str], Both]


def order_of(path: str, where: str) -> Order | None:
    """How a list of that answer is put in order before it is compared; None: its order is part of the answer."""
    return next((order for asked, place, order in _ORDERS if re.search(asked, path) and re.search(place, where)), None)


def _overtaking(left: list[Any], right: list[Any], symbol: Symbol, path: str) -> Both:
    """What one act begins goes on in several places at once: of one moment things are in alphabetical order."""

    def ordered(entries: list[Any]) -> list[Any]:
        return sorted(entries, key=lambda entry: (entry["at"][:15], str(entry["type"]), str(entry["detail"])))

    return ordered(left), ordered(right)


def _found(left: list[Any], right: list[Any], symbol: Symbol, path: str) -> Both:
    """Two indexes weigh words by what else they hold, and what is as good as another stands anywhere beside it.

    By relevance only the first is compared in its place, where another of the same title is as good; else those in their places
    that are told apart by what is sorted by.
    """
    if not left or not right:
        return left, right
    if "sort=" not in path or "sort=relevance" in path:
        fixed = 0 if left[0]["title"] == right[0]["title"] else 1
        return _by_title(left, 0, symbol, fixed), _by_title(right, 1, symbol, fixed)
    keys = {"price": _price, "-price": _price, "rating": _rating, "newest": str}
    key = keys[re.findall(r"sort=([-a-z]+)", path)[0]]
    return _ties(left, 0, symbol, key), _ties(right, 1, symbol, key)


def _by_title(items: list[Any], side: int, symbol: Symbol, fixed: int = 0) -> list[Any]:
    return items[:fixed] + sorted(items[fixed:], key=lambda item: (item["title"], symbol(side, item["id"]) or "~"))


def _price(item: Any) -> str:
    return str(item["price"])


def _rating(item: Any) -> str:
    return str(item["rating"])


def _ties(items: list[Any], side: int, symbol: Symbol, key: Callable[[Any], str]) -> list[Any]:
    groups = (list(group) for _, group in itertools.groupby(items, key))
    return [item for group in groups for item in _by_title(group, side, symbol)]


#: By the request, and the place in its answer.
_ORDERS: list[tuple[str, str, Order]] = [
    (r"^GET /search\?(?!kind=sellers)", r"^/items$", _found),
    (r"", r"/timeline$", _overtaking),
]
