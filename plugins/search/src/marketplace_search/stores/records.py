"""What every index has of a record, whatever it is kept in: tokens of facets and options, marks, what a building takes over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from marketplace_core.capabilities.catalog import ProductPage, Rating
from marketplace_search.domain import combinations, price_bucket
from marketplace_search.store import Record, Seller, Stamp

__all__ = [
    "APART",
    "ATTRIBUTE",
    "CATEGORY",
    "OPTION",
    "PRICE",
    "SELLER",
    "SHORTEST",
    "STEMMED",
    "TEXTS",
    "TEXT_STEMS",
    "TITLE_STEMS",
    "Known",
    "attributes_of",
    "created",
    "created_at",
    "encode_record",
    "facets_of",
    "mark_of",
    "rebuilt",
    "title_key",
    "together_of",
]

#: Fields of folded words, by their weight's name.
TEXTS = ("title", "attributes", "category", "seller", "description", "sku")
#: Fields of stems, of whichever language: of titles, and of attributes, categories and descriptions.
TITLE_STEMS, TEXT_STEMS = "title_stems", "text_stems"
STEMMED = ("attributes", "category", "description")
#: What stands before the values of facets; see :func:`facets_of`.
CATEGORY, SELLER, PRICE, OPTION, ATTRIBUTE = "c", "s", "p", "o", "a"
APART = "\x1f"
#: Of an attribute's value, as a facet.
LONGEST = 200
#: A shorter word is not what a misspelling was meant to be.
SHORTEST = 3
encode_record = msgspec.json.Encoder().encode


def mark_of(id_: str) -> int:
    """40 bits that stand for an id."""
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=5).digest(), "big")


def facets_of(page: ProductPage, price: int) -> list[str]:
    """The tokens of a product's facets."""
    facets = [f"{SELLER}{APART}{page.seller.id}", f"{PRICE}{APART}{price_bucket(price)}"]
    if page.category is not None:
        facets.append(f"{CATEGORY}{APART}{page.category.id}")
    facets += [f"{ATTRIBUTE}{APART}{name}{APART}{value}" for name, value in attributes_of(page) if len(value) <= LONGEST]
    facets += {f"{OPTION}{APART}{name}{APART}{value}" for each in page.variants for name, value in each.options.items()}
    return facets


def together_of(record: Record, page: ProductPage) -> Iterable[str]:
    """What one variant has together; with a ``+`` before it where that one can be bought."""
    found: dict[str, None] = {}
    for variant in page.variants:
        tokens = combinations(tuple(sorted(variant.options.items())))
        found.update(dict.fromkeys(tokens))
        if record.available.get(variant.id, 0) > 0:
            found.update(dict.fromkeys([f"+{token}" for token in tokens]))
    return found


def title_key(words: Iterable[str]) -> str:
    """The same for all orders of the words."""
    return " ".join(sorted(words))


def attributes_of(page: ProductPage) -> Iterable[tuple[str, str]]:
    """Names and values as texts; of a list each of its values."""
    for name, value in page.attributes.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, bool):
                yield name, "true" if each else "false"
            elif isinstance(each, str | int | float) and each != "":
                yield name, str(each)


def created(id_: str) -> int:
    """The time and the count of an id that tells them (UUIDv7), as one number that grows; else 0."""
    return int(id_[:8] + id_[9:13] + id_[15:18], 16) if len(id_) == 36 and id_[14] == "7" else 0


def created_at(id_: str) -> datetime | None:
    milliseconds = created(id_) >> 12
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


# ── building anew ────────────────────────────────────────────────────────────────────────────────────────────


class Known(Struct, frozen=True):
    """As much of a record as a building takes over."""

    id: str
    rating: Rating | None = None
    stamps: dict[str, Stamp] = {}


#: Of what only the catalogue has told.
_UNTOLD = {"page": Stamp(0), "stock": Stamp(0)}


def rebuilt(told: ProductPage | Seller, known: Known | None) -> Record:
    """With the stamps of what was known before it was asked for: what it shows is at least as late."""
    stamps = known.stamps if known else {}
    if isinstance(told, Seller):
        return Record(id=told.id, kind="sellers", name=told.name, active=told.active, stamps=stamps or {"page": told.stamp})
    return Record(
        id=told.id,
        kind="products",
        seller_id=told.seller.id,
        status="published",
        page=told,
        rating=known.rating if known else None,
        available={variant.id: variant.available for variant in told.variants},
        stamps=stamps or _UNTOLD,
    )
