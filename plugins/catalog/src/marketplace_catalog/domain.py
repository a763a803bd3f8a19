"""Rules of the catalogue: addresses, the category tree, what may be published, and counting stock. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "MAX_DEPTH",
    "MAX_NAME",
    "CategoryNode",
    "StockLine",
    "add_up",
    "can_publish",
    "category_slug",
    "depth_below",
    "is_below",
    "is_lower",
    "name_key",
    "product_slug",
    "settled",
    "shortages",
    "slugify",
    "unpublishable",
]

_UNSAFE = re.compile(r"[^a-z0-9]+")


def slugify(title: str, length: int) -> str:
    """The part of an address that a title gives; never empty."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return _UNSAFE.sub("-", plain)[:length].strip("-") or "product"


def product_slug(title: str, length: int, id_: str) -> str:
    """Titles repeat, addresses do not. Its end is shorter than that of an id, so that none looks like one."""
    return f"{slugify(title, length)}-{id_[-10:]}"


def category_slug(name: str, id_: str) -> str:
    """Names repeat in a tree, addresses do not."""
    return f"{slugify(name, 60)}-{id_[-6:]}"


# ── categories ───────────────────────────────────────────────────────────────────────────────────────────────


#: Levels of the tree, wherever a category is made: as deep as a path that a person can read.
MAX_DEPTH = 30
MAX_NAME = 200


class CategoryNode(NamedTuple):
    """``products`` counts those in the category itself; ``level`` from the root, which is at 0."""

    id: str
    parent_id: str | None
    slug: str
    name: str
    products: int
    level: int = 0


def name_key(name: str) -> str:
    """Equal for names that a person would call the same."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def is_below(parents: Mapping[str, str | None], id_: str | None, top: str) -> bool:
    """Whether a category is ``top`` or hangs below it; ``parents``: each category's parent."""
    while id_ is not None:
        if id_ == top:
            return True
        id_ = parents[id_]
    return False


def depth_below(parents: Mapping[str, str | None], parent_id: str | None, id_: str) -> int:
    """Levels of the tree once a category hangs below another one, with all below it, as far as they lead through it."""
    above = 0
    while parent_id is not None:
        above, parent_id = above + 1, parents[parent_id]
    children: dict[str | None, list[str]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    level, height = [id_], 0
    while level:
        level, height = [child for node in level for child in children.get(node, ())], height + 1
    return above + height


# ── publishing ───────────────────────────────────────────────────────────────────────────────────────────────


def can_publish(status: str) -> bool:
    """Whether its seller may show it; what waits for a decision, or was rejected, is not the seller's to show."""
    return status in {"draft", "archived"}


def settled(status: str, verdict: str, *, complete: bool) -> str:
    """The status of a product that was judged while it had this one. What its seller has taken back, or has not shown, stays as
    it is; what lacks something that a published product needs waits for it."""
    if status not in {"in_review", "published", "rejected"}:
        return status
    if verdict == "approved":
        return "published" if complete else "in_review"
    return verdict if verdict in {"rejected", "in_review"} else status


def unpublishable(priced: Sequence[bool], places: Sequence[str]) -> list[tuple[str, str]]:
    """What keeps a product from being published, as ``(pointer, detail)``.

    ``priced``: whether each variant has a price; ``places``: the pointer of each.
    """
    if not priced:
        return [("/variants", "A published product needs a variant.")]
    return [
        (f"{place}/price", "A published variant needs a price.")
        for place, known in zip(places, priced, strict=True)
        if not known
    ]


def is_lower(price: int | None, compare_at: int | None) -> bool:
    """Whether a price, in minor units, is below that which it is compared with, if it is."""
    return price is None or compare_at is None or price < compare_at


# ── stock ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class StockLine:
    """So many units of a variant."""

    variant_id: str
    quantity: int


def add_up(lines: Iterable[StockLine]) -> dict[str, int]:
    """Units per variant, in the order of variant ids: the order in which they are locked."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.variant_id] = wanted.get(line.variant_id, 0) + line.quantity
    return dict(sorted(wanted.items()))


def shortages(lines: Sequence[StockLine], available: Mapping[str, int]) -> list[tuple[int, int]]:
    """Lines that cannot be had as ``(index, units that can)``, equal variants sharing what there is in order."""
    left = dict(available)
    short = []
    for index, line in enumerate(lines):
        units = left.get(line.variant_id, 0)
        if units < line.quantity:
            short.append((index, units))
        else:
            left[line.variant_id] = units - line.quantity
    return short
