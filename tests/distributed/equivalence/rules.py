"""All that may differ between two deployments that are asked the same. What is not named here is equal to the byte."""

from __future__ import annotations

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
Order = Callable[[list[Any], list[Any], Symbol], tuple[list[Any], list[Any]]]


def order_of(audience: str, path: str, where: str) -> Order | None:
    """How a list of that answer is put in order before it is compared; None: its order is part of the answer."""
    for on, asked, place, order in _ORDERS:
        if on == audience and re.search(asked, path) and re.search(place, where):
            return order
    return None


_ORDERS: list[tuple[str, str, str, Order]] = []
