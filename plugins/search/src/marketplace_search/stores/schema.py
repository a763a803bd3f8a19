"""What tantivy keeps of a record, and how it cuts texts into words."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tantivy
from tantivy import DocAddress, Document, Filter, Index, Query, Searcher, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from marketplace_core.capabilities.catalog import ProductPage
from marketplace_search.domain import fold, spelt, words_of
from marketplace_search.store import Record
from marketplace_search.stores.records import (
    STEMMED,
    TEXT_STEMS,
    TEXTS,
    TITLE_STEMS,
    attributes_of,
    created,
    encode_record,
    facets_of,
    mark_of,
    title_key,
    together_of,
)

__all__ = [
    "WORDS",
    "Stemmer",
    "Text",
    "count_of",
    "document",
    "open_index",
    "open_words",
    "schema_of",
    "stemmer",
    "texts_of",
]

_LONG_WORD = 60
_KEPT_WORDS = 32_768
_KEPT_TEXTS = 4096


def count_of(searcher: Searcher, query: Query) -> int:
    """How many documents a query finds."""
    found: Any = searcher.search(query, 1)
    return int(found.count or 0)  # tantivy's type stubs lack it


def record_bytes(searcher: Searcher, address: DocAddress) -> bytes:
    """The record of a document, not yet decoded."""
    kept: Any = searcher.doc(address).get_first("record")
    return bytes(kept)


# ── analysis ─────────────────────────────────────────────────────────────────────────────────────────────────


def _analyzer(language: str | None) -> TextAnalyzer:
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


class Text(NamedTuple):
    """A text folded, the words of that, and their stems."""

    folded: str
    words: Sequence[str]
    stems: str


class Stemmer:
    """Stems in any of some languages. Those of a word are made once, as a catalogue has few different ones."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        self._analyzers = [_analyzer(language) for language in languages]
        #: By a word as it is written, in small letters: its stems, and whether it is a stop word in one of the languages.
        self.of = functools.lru_cache(_KEPT_WORDS)(self._of)
        self._joined = functools.lru_cache(_KEPT_WORDS)(lambda word: " ".join(self.of(word)[0]))
        #: Of what many products have in common, a category or a colour.
        self.often = functools.lru_cache(_KEPT_TEXTS)(self.text)

    def _of(self, word: str) -> tuple[tuple[str, ...], bool]:
        found = [analyzer.analyze(word) for analyzer in self._analyzers]
        return tuple(dict.fromkeys([stems[0] for stems in found if stems])), not all(found)

    def text(self, told: str) -> Text:
        folded = fold(told)
        words = words_of(folded)
        written = words if told.isascii() else [word for _, word in spelt(told)]
        return Text(folded, words, " ".join(map(self._joined, written)))


stemmer = functools.cache(Stemmer)


@functools.cache
def schema_of() -> tantivy.Schema:
    made = tantivy.SchemaBuilder()
    for name in ("id", "shown", "flags", "seller_id", "category_id", "combined", "title_key"):
        made.add_text_field(name, tokenizer_name="raw", index_option="basic")
    made.add_text_field("facets", tokenizer_name="raw", index_option="basic", fast=True)
    made.add_unsigned_field("mark", fast=True, indexed=True)
    made.add_unsigned_field("turn", indexed=True, fast=True)
    for name in ("price", "created", "rating"):
        made.add_integer_field(name, fast=True, indexed=name == "price")
    for name in (*TEXTS, TITLE_STEMS, TEXT_STEMS):
        made.add_text_field(name, tokenizer_name="words", index_option="freq")
    made.add_bytes_field("record", stored=True)
    return made.build()


@functools.cache
def words_schema() -> tantivy.Schema:
    made = tantivy.SchemaBuilder()
    made.add_text_field("word", tokenizer_name="raw", index_option="basic", stored=True)
    return made.build()


WORDS = words_schema()


def open_index(generation: Path) -> Index:
    index = Index(schema_of(), str(generation / "index"))
    index.register_tokenizer("words", _analyzer(None))
    index.config_reader("manual")  # the other policy looks at the folder twice a second
    return index


def open_words(generation: Path) -> Index:
    index = Index(WORDS, str(generation / "words"))
    index.config_reader("manual")
    return index


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────


def texts_of(record: Record, languages: Stemmer) -> dict[str, Text]:
    """What can be searched in, by field; nothing of what is not shown."""
    page = record.page
    if record.kind == "sellers":
        return {"title": languages.text(record.name)} if record.active else {}
    if page is None or record.status != "published" or not page.variants:
        return {}
    found = {"title": languages.text(page.title), "seller": languages.often(page.seller.name)}
    values = [value for _, value in attributes_of(page)]
    values += [value for variant in page.variants for value in variant.options.values()]
    if values:
        found["attributes"] = _beside([languages.often(value) for value in dict.fromkeys(values)])
    if page.category is not None:
        found["category"] = languages.often(" ".join((*page.category.path, page.category.name)))
    if page.description:
        found["description"] = languages.text(page.description)
    return found


def _beside(texts: list[Text]) -> Text:
    return Text(
        " ".join([text.folded for text in texts]),
        [word for text in texts for word in text.words],
        " ".join([text.stems for text in texts]),
    )


def document(record: Record, texts: Mapping[str, Text], turn: int) -> Document:
    made = Document()
    made.add_text("id", record.id)
    made.add_unsigned("turn", turn)
    made.add_bytes("record", encode_record(record))
    if not texts:
        _hidden(made, record)
        return made
    made.add_text("shown", record.kind)
    made.add_unsigned("mark", mark_of(record.id))
    made.add_integer("created", created(record.id))
    if record.page is not None:
        _product(made, record, record.page)
    else:
        for name in ("price", "rating"):
            made.add_integer(name, 0)
    for name, text in texts.items():
        made.add_text(name, text.folded)
    made.add_text("title_key", title_key(texts["title"].words))
    made.add_text(TITLE_STEMS, texts["title"].stems)
    if stems := " ".join([texts[name].stems for name in STEMMED if name in texts]):
        made.add_text(TEXT_STEMS, stems)
    return made


def _hidden(made: Document, record: Record) -> None:
    if record.kind == "sellers":
        made.add_text("flags", "inactive")
        return
    made.add_text("flags", "gone")
    made.add_text("seller_id", record.seller_id)
    if record.status == "published":
        made.add_text("flags", "pending")


def _product(made: Document, record: Record, page: ProductPage) -> None:
    price = min([variant.price.amount for variant in page.variants])
    made.add_integer("price", price)
    rating = record.rating or page.rating
    made.add_integer("rating", -1 if rating.average is None else round(rating.average * 100))
    made.add_text("seller_id", page.seller.id)
    if any(record.available.values()):
        made.add_text("flags", "stock")
    for variant in page.variants:
        made.add_text("sku", fold(variant.sku))
    if page.category is not None:
        made.add_text("category_id", page.category.id)
    for token in facets_of(page, price):
        made.add_text("facets", token)
    for token in together_of(record, page):
        made.add_text("combined", token)
