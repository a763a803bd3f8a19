"""What tantivy keeps of a record, and how it cuts texts into words."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import tantivy
from tantivy import DocAddress, Document, Filter, Index, Query, Searcher, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from marketplace_core.capabilities.catalog import ProductPage
from marketplace_search.domain import combinations, fold, price_bucket, words_of
from marketplace_search.store import Record

__all__ = [
    "TEXTS",
    "WORDS",
    "analyzer",
    "count_of",
    "created_at",
    "document",
    "mark_of",
    "open_index",
    "open_words",
    "schema_of",
    "vocabulary",
]

#: Fields of folded words, by their weight's name.
TEXTS = ("title", "attributes", "category", "seller", "description", "sku")
#: What stands before the values of facets; see :func:`document`.
CATEGORY, SELLER, PRICE, OPTION, ATTRIBUTE = "c", "s", "p", "o", "a"
APART = "\x1f"
#: Of an attribute's value, as a facet.
LONGEST = 200
_LONG_WORD = 60
encode_record = msgspec.json.Encoder().encode


def mark_of(id_: str) -> int:
    """40 bits that stand for an id."""
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=5).digest(), "big")


def count_of(searcher: Searcher, query: Query) -> int:
    """How many documents a query finds."""
    found: Any = searcher.search(query, 1)
    return int(found.count or 0)  # tantivy's type stubs lack it


def record_bytes(searcher: Searcher, address: DocAddress) -> bytes:
    """The record of a document, not yet decoded."""
    kept: Any = searcher.doc(address).get_first("record")
    return bytes(kept)


# ── analysis ─────────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def analyzer(language: str | None) -> TextAnalyzer:
    """Of a language: stems of all but stop words; None: words of a text that is folded already."""
    made = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(_LONG_WORD)).filter(Filter.lowercase())
    if language is None:
        return made.build()
    if language in _STOPPED:
        made = made.filter(Filter.stopword(language))
    return made.filter(Filter.stemmer(language)).filter(Filter.ascii_fold()).build()


#: Of the others tantivy has stems only.
_STOPPED = frozenset(
    {
        "danish",
        "dutch",
        "english",
        "finnish",
        "french",
        "german",
        "hungarian",
        "italian",
        "norwegian",
        "portuguese",
        "russian",
        "spanish",
        "swedish",
    }
)


def stems_field(part: str, language: str) -> str:
    return f"{part}_{language}"


@functools.cache
def schema_of(languages: tuple[str, ...]) -> tantivy.Schema:
    made = tantivy.SchemaBuilder()
    for name in ("id", "shown", "flags", "seller_id", "category_id", "combined", "title_key"):
        made.add_text_field(name, tokenizer_name="raw", index_option="basic")
    made.add_text_field("facets", tokenizer_name="raw", index_option="basic", fast=True)
    made.add_unsigned_field("mark", fast=True, indexed=True)
    made.add_unsigned_field("turn", indexed=True, fast=True)
    for name in ("price", "created", "rating"):
        made.add_integer_field(name, fast=True, indexed=name == "price")
    for name in TEXTS:
        made.add_text_field(name, tokenizer_name="words", index_option="freq")
    for language in languages:
        for part in ("title", "text"):
            made.add_text_field(stems_field(part, language), tokenizer_name=language, index_option="freq")
    made.add_bytes_field("record", stored=True)
    return made.build()


@functools.cache
def words_schema() -> tantivy.Schema:
    made = tantivy.SchemaBuilder()
    made.add_text_field("word", tokenizer_name="raw", index_option="basic", stored=True)
    return made.build()


WORDS = words_schema()


def open_index(generation: Path, languages: tuple[str, ...]) -> Index:
    index = Index(schema_of(languages), str(generation / "index"))
    index.register_tokenizer("words", analyzer(None))
    for language in languages:
        index.register_tokenizer(language, analyzer(language))
    index.config_reader("manual")  # the other policy looks at the folder twice a second
    return index


def open_words(generation: Path) -> Index:
    index = Index(WORDS, str(generation / "words"))
    index.config_reader("manual")
    return index


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────


def document(record: Record, turn: int, languages: Sequence[str]) -> Document:
    made = Document()
    made.add_text("id", record.id)
    made.add_unsigned("turn", turn)
    made.add_bytes("record", encode_record(record))
    if record.kind == "sellers":
        _seller(made, record, languages)
    elif record.page is not None and record.status == "published" and record.page.variants:
        _product(made, record, record.page, languages)
    else:
        made.add_text("flags", "gone")
        made.add_text("seller_id", record.seller_id)
        if record.status == "published":
            made.add_text("flags", "pending")
    return made


def _seller(made: Document, record: Record, languages: Sequence[str]) -> None:
    if not record.active:
        made.add_text("flags", "inactive")
        return
    made.add_text("shown", "sellers")
    made.add_unsigned("mark", mark_of(record.id))
    _title(made, record.name, languages)
    for name in ("price", "rating"):
        made.add_integer(name, 0)
    made.add_integer("created", created(record.id))


def _product(made: Document, record: Record, page: ProductPage, languages: Sequence[str]) -> None:
    price, in_stock = min(variant.price.amount for variant in page.variants), any(record.available.values())
    made.add_text("shown", "products")
    made.add_unsigned("mark", mark_of(record.id))
    made.add_integer("price", price)
    made.add_integer("created", created(record.id))
    rating = record.rating or page.rating
    made.add_integer("rating", -1 if rating.average is None else round(rating.average * 100))
    made.add_text("seller_id", page.seller.id)
    if in_stock:
        made.add_text("flags", "stock")
    facets = [f"{SELLER}{APART}{page.seller.id}", f"{PRICE}{APART}{price_bucket(price)}"]
    category = ""
    if page.category is not None:
        made.add_text("category_id", page.category.id)
        facets.append(f"{CATEGORY}{APART}{page.category.id}")
        category = " ".join((*page.category.path, page.category.name))
    attributes = list(attributes_of(page))
    facets += [f"{ATTRIBUTE}{APART}{name}{APART}{value}" for name, value in attributes if len(value) <= LONGEST]
    values = [value for _, value in attributes]
    values += [value for variant in page.variants for value in variant.options.values()]
    for token in _together(record, page):
        made.add_text("combined", token)
    options = {f"{OPTION}{APART}{name}{APART}{value}" for each in page.variants for name, value in each.options.items()}
    for token in (*facets, *options):
        made.add_text("facets", token)
    _title(made, page.title, languages)
    told = " ".join(dict.fromkeys(values))
    for name, text in (("attributes", told), ("category", category), ("seller", page.seller.name)):
        if text:
            made.add_text(name, fold(text))
    if page.description:
        made.add_text("description", fold(page.description))
    for variant in page.variants:
        made.add_text("sku", fold(variant.sku))
    if text := f"{told} {category} {page.description}".strip():
        for language in languages:
            made.add_text(stems_field("text", language), text)


def _together(record: Record, page: ProductPage) -> Iterable[str]:
    """What one variant has together; with a ``+`` before it where that one can be bought."""
    found: dict[str, None] = {}
    for variant in page.variants:
        tokens = combinations(variant.options)
        found.update(dict.fromkeys(tokens))
        if record.available.get(variant.id, 0) > 0:
            found.update((f"+{token}", None) for token in tokens)
    return found


def _title(made: Document, title: str, languages: Sequence[str]) -> None:
    folded = fold(title)
    made.add_text("title", folded)
    made.add_text("title_key", title_key(words_of(title)))
    for language in languages:
        made.add_text(stems_field("title", language), title)


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


def vocabulary(record: Record) -> set[str]:
    """Words that a misspelling may have been meant to be."""
    if record.page is None:
        return set(words_of(record.name))
    page = record.page
    texts = [page.title, page.seller.name, *(value for _, value in attributes_of(page))]
    texts += [] if page.category is None else [*page.category.path, page.category.name]
    texts += [value for variant in page.variants for value in variant.options.values()]
    return {word for word in words_of(" ".join(texts)) if len(word) > 2 and not word.isdigit()}


def created(id_: str) -> int:
    """The time and the count of an id that tells them (UUIDv7), as one number that grows; else 0."""
    return int(id_[:8] + id_[9:13] + id_[15:18], 16) if len(id_) == 36 and id_[14] == "7" else 0


def created_at(id_: str) -> datetime | None:
    milliseconds = created(id_) >> 12
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
